"""`serving/stock_data`: a copy of daily bars in Postgres, with figures for reports."""

from datetime import date

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import RETRY_A_SERVICE, no_retry_unless_transient
from stock_platform.components.partitions import sessions
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.reference.assets import splits
from stock_platform.defs.resources import LakeResource
from stock_platform.serving.postgres.rows import STOCK_DATA

FIGURES = {
    "date": "session of XNYS",
    "volatility": "(high - low) / close * 100, percent",
    "rolling_avg": "mean of this close and the four before it; null until there are five",
    "daily_pct_change": "against the previous close, percent; null for a symbol's first",
}


@dg.asset(
    key=["serving", "stock_data"],
    partitions_def=sessions,
    deps=[daily_bars, splits],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="serving",
    kinds={"postgres"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(STOCK_DATA, ("symbol", "date"), FIGURES),
    retry_policy=RETRY_A_SERVICE,
)
@no_retry_unless_transient
def stock_data(
    context: dg.AssetExecutionContext, lake: LakeResource, secrets: SecretsResource
) -> dg.MaterializeResult:
    """One row is one symbol on one session, in Postgres (SQLite where none is configured).

    A partition is a session. Decimals are exact. Only rows that are new or differ are
    written, so materializing again writes nothing; the four sessions after a healed one
    are corrected with it. A range of sessions is one run.
    """
    # The clients of Postgres are loaded by the runs that use them: they would double the
    # time in which the definitions load, and every run starts with that.
    from stock_platform.serving.postgres.refresh import refresh_stock_data
    from stock_platform.serving.postgres.store import open_stock_data

    days = sorted(date.fromisoformat(key) for key in context.partition_keys)
    settings = secrets.settings()
    with open_stock_data(settings.postgres) as opened:
        done = refresh_stock_data(lake.store(settings), opened, days[0], days[-1])
    where = "Postgres" if settings.postgres.postgres_url.get_secret_value() else "SQLite"
    return dg.MaterializeResult(
        metadata={
            "store": where,
            "rows inserted": done.inserted,
            "rows updated": done.updated,
            "rows unchanged": done.unchanged,
        }
    )
