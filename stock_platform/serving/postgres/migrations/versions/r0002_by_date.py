"""Questions about one day of all symbols, and numbers SQLite can compare.

`stock_data_numbers` has the same columns everywhere. In SQLite it casts the
decimal text to floats, so that max, order by and sum mean what they say there
too; in Postgres it is the table itself.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBERS = (
    *("open", "high", "low", "close", "volume"),
    *("volatility", "rolling_avg", "daily_pct_change"),
)


def upgrade() -> None:
    """Add the index on date and the view of numbers."""
    op.create_index("stock_data_date", "stock_data", ["date"])
    lite = op.get_bind().dialect.name == "sqlite"
    numbers = (f"CAST({name} AS REAL) AS {name}" if lite else name for name in _NUMBERS)
    op.execute(
        f"CREATE VIEW stock_data_numbers AS SELECT date, symbol, {', '.join(numbers)} "  # noqa: S608 - constants of this file
        "FROM stock_data"
    )


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP VIEW stock_data_numbers")
    op.drop_index("stock_data_date", "stock_data")
