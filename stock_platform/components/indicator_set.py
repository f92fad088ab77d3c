"""Assets of indicators: what the platform's own and those of a user's defs.yaml share."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import dagster as dg
import polars as pl
from pydantic import Field

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import sessions
from stock_platform.components.secrets import SecretsResource
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.indicators.by_name import indicator_by_name
from stock_platform.indicators.indicator import Indicator, Timeframe
from stock_platform.indicators.registry import descriptions, value_schema
from stock_platform.lake import read, tables
from stock_platform.lake.sql.views import FIXED
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.indicators.stores import (
    STATE_SUFFIX,
    STATES,
    VALUES,
    IndicatorStore,
    indicator_store,
)
from stock_platform.pipelines.indicators.updater import IndicatorUpdater, UpdateResult

BARS: dict[Timeframe, dg.AssetKey] = {
    "daily": dg.AssetKey(["lake", "daily_bars"]),
    "minute": dg.AssetKey(["lake", "session_bars"]),
}
"""What the indicators of a timeframe are computed from."""
SPLITS = dg.AssetKey(["reference", "splits"])
RESERVED = frozenset(
    {
        *tables.TABLES,
        *FIXED,
        *VALUES.values(),
        *STATES.values(),
        *(f"{name}_stored" for name in tables.TABLES),
        *("minute_bars_best", "answers_parts", "quarantine_parts", "weekly_performance"),
        *("daily", "minute"),  # the keys of the platform's own assets
    }
)
"""Tables, views and asset keys of the platform."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,56}")
"""A table's name, with room for the suffix of its states."""


class IndicatorSet(dg.Component, dg.Model, dg.Resolvable):
    """Indicators of a user's choice as an asset and table of their own, one session a partition.

    The asset `indicators/<name>` depends on the bars of its timeframe and on the splits. It
    computes onward from the states kept with the session before, as `indicators/daily` does:

        type: stock_platform.components.IndicatorSet
        attributes:
          name: swing
          timeframe: daily
          indicators: [ema_20, rsi_14]

    Loading raises `PermanentError` for an unknown indicator, and for a name that is no table's
    or one of the platform's tables.
    """

    name: Annotated[str, Field(description="the table, and the key `indicators/<name>`")]
    timeframe: Annotated[Literal["daily", "minute"], Field(description="the bars computed from")]
    indicators: Annotated[
        Sequence[str], Field(description="names or columns, also with another period: ema_200")
    ]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the set: one asset."""
        name, timeframe, indicators = self._table_name(), self.timeframe, self._chosen()
        schema = value_schema(indicators, timeframe)

        @dg.asset(
            key=["indicators", name],
            description=f"{timeframe.capitalize()} indicators of the set `{name}`: "
            f"{', '.join(indicator.name for indicator in indicators)}.",
            partitions_def=sessions,
            deps=[BARS[timeframe], SPLITS],
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name="indicators",
            kinds={"polars", "parquet"},
            metadata=columns_of(timeframe, schema, descriptions(indicators)),
            required_resource_keys={"lake"},
        )
        @no_retry_unless_transient
        def values(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            settings = SecretsResource().settings()
            lake_context: LakeContext = context.resources.lake.context(settings)
            store = indicator_store(lake_context.store, timeframe, name)
            return extended(context, lake_context, store, indicators=indicators)

        return dg.Definitions(assets=[values])

    def _table_name(self) -> str:
        if not _NAME.fullmatch(self.name) or self.name.endswith(STATE_SUFFIX):
            raise PermanentError(
                f"indicator set {self.name[:80]!a}: a name is up to 57 lower-case letters, digits "
                f"and underscores, and does not end in {STATE_SUFFIX}"
            )
        if self.name in RESERVED:
            raise PermanentError(f"indicator set {self.name!r}: the platform has a table called so")
        return self.name

    def _chosen(self) -> list[Indicator]:
        if not self.indicators:
            raise PermanentError(f"indicator set {self.name!r}: it names no indicator")
        try:
            found = [indicator_by_name(name, self.timeframe) for name in self.indicators]
        except PlatformError as error:
            raise PermanentError(f"indicator set {self.name!r}: {error}") from error
        return list({indicator.name: indicator for indicator in found}.values())


def columns_of(
    timeframe: Timeframe, schema: pl.Schema, descriptions: dict[str, str]
) -> dict[str, Any]:
    """Return the definition metadata that shows a timeframe's values on the asset's page."""
    key = ("symbol", "session" if timeframe == "daily" else "minute")
    return metadata.columns(schema, key, descriptions)


def extended(
    context: dg.AssetExecutionContext,
    lake_context: LakeContext,
    store: IndicatorStore,
    *,
    indicators: Sequence[Indicator],
) -> dg.MaterializeResult:
    """Compute the sessions of the run and those that follow from them; return what was done."""
    updater = IndicatorUpdater(
        store=store,
        indicators=indicators,
        splits=read.table(lake_context.store, "splits", None),
        first=lake_context.sessions(datetime.now(UTC))[0],
    )
    done = updater.extend(date.fromisoformat(key) for key in context.partition_keys)
    if not done.sessions:
        context.log.warning("there are no bars of these sessions yet: nothing was computed")
        return dg.MaterializeResult(metadata=_of_update(done))
    return dg.MaterializeResult(metadata=_of_update(done), data_version=dg.DataVersion(done.sha256))


def _of_update(done: UpdateResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sessions computed": len(done.sessions),
        "later sessions followed": len(done.followed),
        "symbols": done.symbols,
        "rows added": done.added,
        "rows changed": done.changed,
    }
    if done.uri:
        shown |= {"dagster/row_count": done.rows, "dagster/uri": done.uri}
    return shown
