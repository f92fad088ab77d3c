"""The table `stock_data`: one row per symbol and session.

SQLite has no exact decimal type (NUMERIC there turns into a float), so numbers
are kept as canonical decimal text: no exponent, no trailing zeros.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_PRICES = ("open", "high", "low", "close", "volume")
_FIGURES = ("volatility", "rolling_avg", "daily_pct_change")


def upgrade() -> None:
    """Create the table; its unique constraint is the index on (symbol, date)."""
    op.create_table(
        "stock_data",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("symbol", _symbol(), nullable=False),
        *(sa.Column(name, _exact(18), nullable=False) for name in _PRICES),
        *(sa.Column(name, _exact(38), nullable=True) for name in _FIGURES),
        sa.UniqueConstraint("symbol", "date", name="stock_data_symbol_date"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("stock_data")


def _symbol() -> sa.types.TypeEngine:
    # Bytes order: `BCPA` and `BCpA` are two securities, and "C" builds the index faster.
    return sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _exact(digits: int) -> sa.types.TypeEngine:
    return sa.Numeric(digits, 6).with_variant(sa.Text(), "sqlite")
