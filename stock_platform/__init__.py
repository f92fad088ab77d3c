"""A provably complete lake of US stock data."""
