"""What should be true of reference data."""

import dagster as dg

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.metadata import passed_without
from stock_platform.defs.reference.assets import dividends
from stock_platform.defs.resources import LakeResource
from stock_platform.healing.anomalies import repeated_dividends
from stock_platform.lake import read


@dg.asset_check(asset=dividends)
@no_retry_unless_transient
def no_dividend_comes_twice(lake: LakeResource) -> dg.AssetCheckResult:
    """No symbol pays the same dividend again within days."""
    rows = read.table(lake.store(), "dividends", None)
    repeated = repeated_dividends(rows)
    return passed_without(repeated, "dividends repeat an earlier one", dg.AssetCheckSeverity.WARN)
