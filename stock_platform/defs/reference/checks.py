"""What should be true of reference data."""

import dagster as dg
import polars as pl

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.metadata import passed_without
from stock_platform.defs.reference.assets import dividends, symbols
from stock_platform.defs.resources import LakeResource
from stock_platform.healing.anomalies import refuted_listing_dates, repeated_dividends
from stock_platform.lake import read
from stock_platform.pipelines.coverage import unlisted_symbols


@dg.asset_check(asset=dividends)
@no_retry_unless_transient
def no_dividend_comes_twice(lake: LakeResource) -> dg.AssetCheckResult:
    """No symbol pays the same dividend again within days."""
    rows = read.table(lake.store(), "dividends", None)
    repeated = repeated_dividends(rows)
    return passed_without(repeated, "dividends repeat an earlier one", dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=symbols)
@no_retry_unless_transient
def every_watched_symbol_is_listed(lake: LakeResource) -> dg.AssetCheckResult:
    """Every symbol of STOCKS_SYMBOLS is listed under the name it is spelt with."""
    lines = pl.DataFrame({"symbol": unlisted_symbols(lake.context())}, schema={"symbol": pl.String})
    return passed_without(lines, "watched symbols are not listed", dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=symbols)
@no_retry_unless_transient
def every_listing_date_is_the_securitys_own(lake: LakeResource) -> dg.AssetCheckResult:
    """No details give the listing date of the company that had the symbol before."""
    store = lake.store()
    spans = read.table(store, "symbol_spans", None)
    wrong = refuted_listing_dates(read.table(store, "securities", None), spans)
    what = "listing dates are refuted by the lists and not used"
    return passed_without(wrong, what, dg.AssetCheckSeverity.WARN)
