"""The CSV of a flat file: its column order, its odd tickers, its bad rows."""

import gzip
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from stock_platform.domain import bars
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import InvalidDataError
from stock_platform.providers.massive.flat_file_rows import parse_day_aggs, parse_minute_aggs

SESSION = date(2026, 2, 27)
SEEN = datetime(2026, 2, 28, 16, 0, tzinfo=UTC)
OPEN = datetime(2026, 2, 27, 14, 30, tzinfo=UTC)
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
MINUTE_NS = 60_000_000_000
AT = int(OPEN.timestamp()) * 1_000_000_000


def line(ticker: str = "AAPL", *, at: int = AT, **values: str) -> str:
    row = {"volume": "100", "open": "2", "close": "3", "high": "4", "low": "1"} | values
    return f"{ticker},{','.join(row.values())},{at},7"


def parse(*lines: str, header: str = HEADER) -> bars.Validated:
    data = gzip.compress("\n".join([header, *lines, ""]).encode())
    return parse_minute_aggs(data, session=SESSION, observed_at=SEEN)


def test_close_comes_before_high_and_low() -> None:
    sifted = parse(line())

    row = sifted.bars.row(0, named=True)
    assert (row["open"], row["high"], row["low"], row["close"]) == (2, 4, 1, 3)
    assert (row["minute"], row["transactions"], row["revision"]) == (OPEN, 7, "final")


def test_columns_are_found_by_name() -> None:
    header = "window_start,transactions,ticker,low,high,close,open,volume"

    sifted = parse(f"{AT},7,AAPL,1,4,3,2,100", header=header)

    assert sifted.bars.equals(parse(line()).bars)


@pytest.mark.parametrize("volume", ["28038.875816", "15", "15.0", "99999999999.999999"])
def test_volume_whole_or_fractional_keeps_every_digit(volume: str) -> None:
    sifted = parse(line(volume=volume))

    assert sifted.bars["volume"].to_list() == [Decimal(volume)]


def test_padded_and_plain_prices_are_the_same_price() -> None:
    sifted = parse(line(close="3.100000"), line("MSFT", close="3.1"))

    assert sifted.bars["close"].to_list() == [Decimal("3.1")] * 2


def test_tickers_that_look_like_nothing_are_companies() -> None:
    names = ["FALSE", "INF", "NA", "NAN", "NONE", "NULL", "TRUE", "nan", "null"]

    sifted = parse(*(line(name) for name in names))

    assert sifted.bars["symbol"].to_list() == names
    assert sifted.rejected.is_empty()


def test_a_ticker_in_two_runs_is_one_symbol() -> None:
    sifted = parse(line("A"), line("B"), line("A", at=AT + MINUTE_NS))

    assert sifted.bars["symbol"].to_list() == ["A", "A", "B"]


BAD = {
    "NaN": ({"volume": "NaN"}, "volume is not a number"),
    "text": ({"open": "abc"}, "open is not a number"),
    "nothing": ({"open": ""}, "open is not a number"),
    "negative": ({"low": "-1"}, "low is not positive"),
    "huge": ({"high": "1e300"}, "high is absurdly large"),
    "too many digits for the column": ({"volume": "9999999999999999"}, "volume is absurdly large"),
}


@pytest.mark.parametrize(("values", "reason"), BAD.values(), ids=BAD)
def test_a_bad_row_is_refused_and_costs_no_other(values: dict[str, str], reason: str) -> None:
    sifted = parse(line("A"), line("B", **values), line("C"))

    assert sifted.bars["symbol"].to_list() == ["A", "C"]
    assert sifted.rejected.select("symbol", "at", "reason").rows() == [("B", OPEN, reason)]


def test_a_row_of_another_day_is_refused() -> None:
    sifted = parse(line("A"), line("B", at=AT - 24 * 60 * MINUTE_NS))

    assert sifted.bars["symbol"].to_list() == ["A"]
    assert sifted.rejected["reason"].to_list() == ["of another session"]


def test_a_time_that_is_none_is_refused() -> None:
    sifted = parse(line("A"), line("B").replace(str(AT), "soon"))

    assert sifted.rejected["reason"].to_list() == ["the minute is missing"]


def test_with_a_grid_extended_hours_are_passed_over_in_silence() -> None:
    grid = Calendar().grid(SESSION)
    before, last, after = (
        AT - MINUTE_NS,
        AT + 389 * MINUTE_NS,
        AT + 390 * MINUTE_NS,
    )
    lines = "\n".join([HEADER, *(line(at=at) for at in (before, AT, last, after)), ""])

    sifted = parse_minute_aggs(lines.encode(), session=SESSION, observed_at=SEEN, grid=grid)

    assert sifted.bars["minute"].to_list() == [grid.opens_at, grid.minute(389)]
    assert sifted.rejected.is_empty()


def test_an_evening_minute_belongs_to_new_yorks_day_not_utcs() -> None:
    evening = datetime(2026, 2, 28, 0, 59, tzinfo=UTC)

    sifted = parse(line(at=int(evening.timestamp()) * 1_000_000_000))

    assert sifted.bars["minute"].to_list() == [evening]


def test_a_day_file_is_stamped_with_midnight_in_new_york() -> None:
    midnight = int(datetime(2026, 2, 27, 5, 0, tzinfo=UTC).timestamp()) * 1_000_000_000
    data = gzip.compress(f"{HEADER}\n{line(at=midnight)}\n".encode())

    sifted = parse_day_aggs(data, session=SESSION, observed_at=SEEN)

    assert sifted.bars.select("symbol", "session").rows() == [("AAPL", SESSION)]


WHOLE = gzip.compress("\n".join([HEADER, *[line(f"S{n}") for n in range(999)], ""]).encode())
BROKEN = {
    "gzip that ends early": WHOLE[:-300],
    "gzip without its trailer": WHOLE[:-8],
    "gzip with a flipped byte": WHOLE[:200] + bytes([WHOLE[200] ^ 0xFF]) + WHOLE[201:],
    "another table": b"symbol,price\nA,1\n",
    "a page of HTML": b"<html>busy</html>",
    "nothing": b"",
    "an error of S3": b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>',
    "rows with too many fields": f"{HEADER}\n{line()},1,2,3\n".encode(),
    "a column twice": HEADER.replace("open", "close").encode(),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_none_is_malformed(data: bytes) -> None:
    with pytest.raises(InvalidDataError):
        parse_minute_aggs(data, session=SESSION, observed_at=SEEN)


def test_a_file_in_two_gzip_members_is_read_whole() -> None:
    data = gzip.compress(f"{HEADER}\n{line('A')}\n".encode()) + gzip.compress(
        f"{line('B')}\n".encode()
    )

    sifted = parse_minute_aggs(data, session=SESSION, observed_at=SEEN)

    assert sifted.bars["symbol"].to_list() == ["A", "B"]


def test_three_hundred_thousand_rows_take_less_than_three_seconds_of_cpu() -> None:
    rows = [line(f"S{n // 390:04d}", at=AT + n % 390 * MINUTE_NS) for n in range(300_000)]
    data = gzip.compress("\n".join([HEADER, *rows, ""]).encode(), 1)

    started = time.process_time()
    sifted = parse_minute_aggs(data, session=SESSION, observed_at=SEEN)

    # 1.8M rows are promised in 4 s and take one; CPU time, as the machine may be busy.
    assert sifted.bars.height == 300_000
    assert time.process_time() - started < 3.0
