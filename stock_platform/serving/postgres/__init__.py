"""The table `stock_data` in Postgres or SQLite."""
