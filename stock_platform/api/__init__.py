"""What `import stock_platform` offers; see docs/api.md."""
