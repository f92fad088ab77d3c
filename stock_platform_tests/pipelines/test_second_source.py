"""A second source fills holes; it proves nothing and overrules nobody."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from stock_platform.domain.rejections import midnight, reject
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.errors import NotEntitledError
from stock_platform.lake import read, write
from stock_platform.lake.append_log import record_responses
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_bars import DailyBarIngest
from stock_platform.pipelines.due_sessions import minutes_due, sessions_with_gaps
from stock_platform.pipelines.heal import Healer
from stock_platform.providers.factory import Providers
from stock_platform.providers.sources import DailyResponse
from stock_platform_tests.pipelines.conftest import SESSIONS
from stock_platform_tests.pipelines.vendors import DOWN, LONG_AFTER, Vendor, streamed

GRID = Calendar().grid(SESSIONS[0])
EVERY_MINUTE = {GRID.minute(slot) for slot in range(GRID.width)}
NEVER = {(symbol, minute) for symbol in ("AAPL", "MSFT") for minute in EVERY_MINUTE}


def settle(
    context: LakeContext, *vendors: Vendor, now: datetime = LONG_AFTER, grid: MinuteGrid = GRID
) -> dict[str, int]:
    """Settle a session; return the totals of its coverage."""
    for vendor in vendors:
        vendor.now = now
    healer = Healer(context=context, providers=Providers(minute=[*vendors]), clock=lambda: now)
    return healer.settle(grid, now=now, since=now).coverage.totals()


@pytest.mark.parametrize("second", ["finnhub", "acme"])
def test_no_data_of_a_second_source_proves_nothing(context: LakeContext, second: str) -> None:
    totals = settle(context, Vendor(error=DOWN), Vendor(name=second, lacks=NEVER))

    assert (totals["empty"], totals["missing"]) == (0, 780)


@pytest.mark.parametrize("second", ["finnhub", "acme"])
def test_the_record_is_asked_again_after_a_second_source_had_nothing(
    context: LakeContext, second: str
) -> None:
    record = Vendor(error=DOWN)
    settle(context, record, Vendor(name=second, lacks=NEVER))
    record.error = None

    assert sessions_with_gaps(context, [GRID.session]) == [GRID.session]
    assert minutes_due(context, GRID.session, LONG_AFTER + timedelta(hours=1)) is not None
    assert settle(context, record, now=LONG_AFTER + timedelta(hours=1))["observed"] == 780


def test_coverage_derived_again_believes_a_second_source_no_more(context: LakeContext) -> None:
    settle(context, Vendor(error=DOWN), Vendor(name="acme", lacks=NEVER))

    assert context.derive(GRID).totals()["empty"] == 0


def test_what_an_earlier_release_recorded_of_finnhub_is_no_proof(context: LakeContext) -> None:
    old = Vendor(name="finnhub", lacks=NEVER)
    settle(context, Vendor(error=DOWN))
    answered = old.minute_bars("AAPL", GRID.session, GRID.opens_at, GRID.minute(389))
    before = context.derive(GRID).totals()

    record_responses(context.store, GRID.session, [answered])

    assert context.derive(GRID).totals() == before


def test_the_only_source_is_of_record_whoever_it_is(context: LakeContext) -> None:
    assert settle(context, Vendor(name="finnhub", lacks=NEVER))["empty"] == 780
    assert context.derive(GRID).totals()["empty"] == 780


@pytest.mark.parametrize("second", ["finnhub", "acme"])
def test_a_second_source_fills_what_the_record_failed_to_give(
    context: LakeContext, second: str
) -> None:
    totals = settle(context, Vendor(error=DOWN), Vendor(name=second))
    rows = read.minute_bars(context.store, GRID.session)

    assert totals["observed"] == 780
    assert set(rows["revision"]) == {"fill"}


@pytest.mark.parametrize("second", ["finnhub", "acme"])
@pytest.mark.parametrize("streamed_only", [True, False])
def test_a_second_source_never_replaces_a_bar_of_the_record(
    context: LakeContext, second: str, *, streamed_only: bool
) -> None:
    if streamed_only:
        write.publish_minute_bars(context.store, GRID.session, streamed(GRID, {0: 10}))
    else:
        settle(context, Vendor())

    settle(
        context,
        Vendor(error=DOWN),
        Vendor(name=second, price=Decimal(11)),
        now=LONG_AFTER + timedelta(days=7),
    )

    first = pl.col("minute") == GRID.opens_at
    rows = read.minute_bars(context.store, GRID.session).filter(first, symbol="AAPL")
    assert (rows["provider"].item(), rows["close"].item()) == ("massive", Decimal(10))


@pytest.mark.parametrize("second", ["finnhub", "acme"])
def test_the_record_replaces_what_a_second_source_filled(context: LakeContext, second: str) -> None:
    later = LONG_AFTER + timedelta(days=7)
    settle(context, Vendor(error=DOWN), Vendor(name=second, price=Decimal(11)), now=later)

    settle(context, Vendor())

    assert set(read.minute_bars(context.store, GRID.session)["provider"]) == {"massive"}


def test_the_refusal_of_a_second_source_is_no_alarm(context: LakeContext) -> None:
    refusing = Vendor(name="acme", error=NotEntitledError("403"))

    assert settle(context, Vendor(error=DOWN), refusing)["refused"] == 0


@pytest.mark.parametrize(
    ("opened", "record"),
    [
        ((("massive",), ("massive_flatfiles",), ("finnhub",)), {"massive", "massive_flatfiles"}),
        ((("massive_flatfiles",), ("finnhub",)), {"massive_flatfiles"}),
        ((("finnhub",), ("acme",)), {"finnhub"}),
        ((("acme", "acme_files"), ("zeta",)), {"acme", "acme_files"}),
    ],
)
def test_of_record_is_the_first_configured_vendor_that_has_bars(
    opened: tuple[tuple[str, ...], ...], record: set[str]
) -> None:
    providers = Providers()
    for names in opened:
        of_one = Providers()
        for name in names:
            if "files" in name:
                of_one.session.append(Vendor(name=name))  # type: ignore[arg-type]
            else:
                of_one.minute.append(Vendor(name=name))
        providers.extend(of_one)

    assert providers.sources_of_record("minute") == record


def daily(context: LakeContext, *vendors: Vendor, now: datetime = LONG_AFTER) -> pl.DataFrame:
    """Fill the daily bars of a session; return them."""
    for vendor in vendors:
        vendor.now = now
    DailyBarIngest(context=context, sources=[*vendors], clock=lambda: now).fill([GRID.session])
    return read.daily_bars(context.store, 2026, 2026)


@pytest.mark.parametrize("second", ["finnhub", "acme"])
def test_a_daily_bar_of_a_second_source_is_replaced_by_the_record(
    context: LakeContext, second: str
) -> None:
    record = Vendor(error=DOWN)
    filled = daily(context, record, Vendor(name=second, price=Decimal(11)))
    record.error = None

    after = daily(context, record, Vendor(name=second), now=LONG_AFTER + timedelta(hours=4))

    assert set(filled["provider"]) == {second}
    assert set(after["provider"]) == {"massive"}


def test_a_daily_bar_the_record_lacks_is_filled_once(context: LakeContext) -> None:
    midnight = datetime.combine(GRID.session, datetime.min.time(), LONG_AFTER.tzinfo)
    record = Vendor(lacks={("AAPL", midnight)})
    second = Vendor(name="acme", price=Decimal(11))
    daily(context, record, second)
    calls = len(record.calls), len(second.calls)

    rows = daily(context, record, second, now=LONG_AFTER + timedelta(days=9))

    assert (len(record.calls), len(second.calls)) == calls
    assert dict(rows.select("symbol", "provider").iter_rows()) == {
        "AAPL": "acme",
        "MSFT": "massive",
    }


def test_a_daily_bar_a_second_source_has_not_is_asked_of_the_record_again(
    context: LakeContext,
) -> None:
    midnight = datetime.combine(GRID.session, datetime.min.time(), LONG_AFTER.tzinfo)
    record = Vendor(error=DOWN)
    second = Vendor(name="finnhub", lacks={("AAPL", midnight), ("MSFT", midnight)})
    daily(context, record, second)
    record.error = None

    assert daily(context, record, second, now=LONG_AFTER + timedelta(hours=4)).height == 2


class WithGarbage(Vendor):
    """Published: memory garbage among good rows of an answer about everybody."""

    def daily_bars(self, session: date) -> DailyResponse:
        response = super().daily_bars(session)
        rows = response.bars.head(1).with_columns(pl.lit("\0HTLP^").alias("symbol"))
        rejected = reject(
            rows, "the symbol is not acceptable", dataset="daily_bars", at=midnight(pl.lit(session))
        )
        return replace(response, rejected=rejected)


def test_rejected_rows_of_symbols_nobody_requested_are_kept_and_counted(
    context: LakeContext,
) -> None:
    ingest = DailyBarIngest(context=context, sources=[WithGarbage()], clock=lambda: LONG_AFTER)

    done = ingest.fill([GRID.session])

    assert done.rejected == 1
    found = query(context.store, "SELECT symbol, reason FROM quarantine")
    assert found.rows() == [("\0HTLP^", "the symbol is not acceptable")]
