"""A session's bars beside the provider's record as it is now; nothing is written."""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.pipelines.verify.certificate import RecordComparison
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.providers.sources import MinuteBarSource, SessionSource
from stock_platform.settings import Settings

_KEY = ["symbol", "minute"]
_VALUES = ("open", "high", "low", "close", "volume")
_OPTIONAL = ("vwap", "transactions")
"""Compared only where both have them: a flat file has no VWAP."""
_SPAN = pl.Schema(
    {"symbol": pl.String(), "first": MINUTE_BARS["minute"], "last": MINUTE_BARS["minute"]}
)


@contextmanager
def open_record(settings: Settings) -> Generator["ProviderRecord"]:
    """Yield the record of the configured providers; raise `PermanentError` when none is."""
    with open_providers(settings) as providers:
        yield ProviderRecord(providers, settings.requests.max_concurrent_requests)


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """Where the record of closed sessions is: the file of a session, else each symbol."""

    providers: Providers
    max_concurrent_requests: int

    def compare(
        self, grid: MinuteGrid, symbols: Sequence[str], held: pl.DataFrame
    ) -> RecordComparison:
        """Return how the `held` bars of `symbols` differ from the record.

        Only minutes that a response covers are compared, and none whose bar in the record
        cannot be right. Raise `PermanentError` when no provider has a record of minutes.
        """
        source = self._file_of(grid) or next(iter(self.providers.minute), None)
        if source is None:
            raise PermanentError("no provider of minute bars is configured")
        if isinstance(source, SessionSource):
            responses = [source.session_minute_bars(grid.session, grid)]
            return compare_bars(source.name, held, responses, symbols)
        return compare_bars(source.name, held, self._by_symbol(source, grid, symbols), symbols)

    def _file_of(self, grid: MinuteGrid) -> SessionSource | None:
        return next((s for s in self.providers.session if s.fingerprint(grid.session)), None)

    def _by_symbol(
        self, source: MinuteBarSource, grid: MinuteGrid, symbols: Sequence[str]
    ) -> list[ProviderResponse]:
        last = grid.closes_at - timedelta(minutes=1)

        def request(symbol: str) -> list[ProviderResponse]:
            try:
                return [source.minute_bars(symbol, grid.session, grid.opens_at, last)]
            except PlatformError:
                return []

        with ThreadPoolExecutor(self.max_concurrent_requests) as pool:
            return [found for each in pool.map(request, symbols) for found in each]


def compare_bars(
    provider: str,
    held: pl.DataFrame,
    responses: Sequence[ProviderResponse],
    symbols: Sequence[str],
) -> RecordComparison:
    """Compare the bars of a session with what a provider responded about it."""
    spans = _spans(responses, symbols)
    record = pl.concat([pl.DataFrame(schema=MINUTE_BARS), *(each.bars for each in responses)])
    sides = [
        _within(frame, spans, _spoiled(responses)).select(*_KEY, *_VALUES, *_OPTIONAL)
        for frame in (held, record.unique(_KEY))
    ]
    both = sides[0].join(sides[1], on=_KEY, how="full", suffix="_there", coalesce=True)
    same = [pl.col(name) == pl.col(f"{name}_there") for name in _VALUES]
    same += [(pl.col(n) == pl.col(f"{n}_there")).fill_null(value=True) for n in _OPTIONAL]
    here, there = pl.col("close").is_not_null(), pl.col("close_there").is_not_null()
    counted = both.group_by("symbol").agg(
        (here & there & pl.all_horizontal(same)).sum().alias("equal"),
        (here & there & ~pl.all_horizontal(same)).sum().alias("changed"),
        (~here).sum().alias("absent"),
        (~there).sum().alias("extra"),
    )
    names = ["changed", "absent", "extra"]
    differing = counted.filter(pl.any_horizontal(pl.col(names) > 0)).sort("symbol")
    total = counted.select(pl.col("equal", *names).sum()).row(0, named=True)
    answered = set(spans["symbol"])
    return RecordComparison(
        provider=provider,
        **total,
        unanswered=tuple(symbol for symbol in symbols if symbol not in answered),
        differing=tuple(differing.select("symbol", *names).rows()),
    )


def _spans(responses: Sequence[ProviderResponse], symbols: Sequence[str]) -> pl.DataFrame:
    """Return the minutes that were answered for, a row per symbol and response."""
    rows = [
        (symbol, response.first, response.last)
        for response in responses
        if response.outcome == "ok" and response.last >= response.first
        for symbol in (symbols if response.symbols is None else response.symbols)
    ]
    return pl.DataFrame(rows, schema=_SPAN, orient="row")


def _spoiled(responses: Sequence[ProviderResponse]) -> pl.DataFrame:
    """Return the minutes whose bar came and could not be right."""
    rows = [
        (symbol, *minutes)
        for response in responses
        for symbol, minutes, _ in response.rejected_intervals()
    ]
    return pl.DataFrame(rows, schema=_SPAN, orient="row")


def _within(bars: pl.DataFrame, spans: pl.DataFrame, spoiled: pl.DataFrame) -> pl.DataFrame:
    inside = pl.col("minute").is_between("first", "last")
    covered, left_out = (
        bars.join(each, on="symbol").filter(inside).select(list(MINUTE_BARS))
        for each in (spans, spoiled)
    )
    return covered.unique(_KEY).join(left_out, on=_KEY, how="anti")
