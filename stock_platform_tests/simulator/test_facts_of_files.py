"""PROVIDERS.md section 6, item 8: what the flat-file bucket must be able to do."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import httpx2
import obstore
import polars as pl
import pytest
from obstore.exceptions import NotFoundError, PermissionDeniedError
from obstore.store import S3Store

from stock_platform.simulator.scenario import FlatFile
from stock_platform.simulator.server import Simulator, running

DAY = date(2026, 11, 24)
LAST = date(2026, 12, 1)
PREFIX = "us_stocks_sip/minute_aggs_v1"
SYNTHETIC = {
    "symbols": ("AAPL", "NA", "NAN", "NULL", "TRUE", "BF/B"),
    "first": str(DAY),
    "last": str(LAST),
}


def key_of(session: date, dataset: str = "minute_aggs_v1") -> str:
    return f"us_stocks_sip/{dataset}/{session:%Y/%m}/{session}.csv.gz"


def store_of(simulator: Simulator, access_key: str | None = None) -> S3Store:
    return S3Store(
        "flatfiles",
        endpoint=simulator.flatfiles_url,
        access_key_id=access_key or simulator.keys.flatfiles[0],
        secret_access_key="any",
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


@contextmanager
def bucket(**parts: Any) -> Iterator[tuple[S3Store, Simulator]]:
    market = {"synthetic": {**SYNTHETIC, **parts.pop("synthetic", {})}, **parts.pop("market", {})}
    with running({"market": market, **parts}) as simulator:
        yield store_of(simulator), simulator


def read(store: S3Store, key: str) -> pl.DataFrame:
    text = gzip.decompress(bytes(obstore.get(store, key).bytes()))
    return pl.read_csv(io.BytesIO(text), infer_schema=False)


def names(store: S3Store, prefix: str) -> list[str]:
    return [entry["path"] for entry in obstore.list(store, prefix=prefix).collect()]


def test_6_8_a_file_is_absent_before_its_publication() -> None:
    with bucket(market={"now": "2026-12-02T10:59:00-05:00"}) as (store, _):
        listed = names(store, PREFIX)
        with pytest.raises((NotFoundError, FileNotFoundError)):
            obstore.get(store, key_of(LAST))

    assert key_of(LAST) not in listed
    assert key_of(DAY) in listed


def test_6_8_a_file_comes_early() -> None:
    early = [{"session": str(LAST), "published": "early"}]
    with bucket(market={"now": "2026-12-01T23:00:00-05:00"}, flatfiles=early) as (store, _):
        listed = names(store, PREFIX)

    assert key_of(LAST) in listed


def test_6_8_a_replaced_file_has_another_etag_and_other_values() -> None:
    with bucket() as (store, simulator):
        before = obstore.head(store, key_of(DAY))
        old = read(store, key_of(DAY))
        simulator.set_flatfiles([FlatFile(session=DAY, version=2)])
        after = obstore.head(store, key_of(DAY))
        new = read(store, key_of(DAY))

    assert before["e_tag"] != after["e_tag"]
    assert before["last_modified"] < after["last_modified"]
    assert old.height == new.height
    assert not old.equals(new)


@pytest.mark.parametrize(("hour", "version"), [("13", 1), ("15", 2)])
def test_6_8_a_file_is_absent_until_a_time_and_replaced_at_another(hour: str, version: int) -> None:
    changes = [
        {"session": str(LAST), "published": "no"},
        {"session": str(LAST), "since": "2026-12-02T12:00:00-05:00"},
        {"session": str(LAST), "since": "2026-12-02T14:00:00-05:00", "version": 2},
    ]
    market = {"now": f"2026-12-02T{hour}:00:00-05:00"}
    with bucket(market=market, flatfiles=changes) as (store, simulator):
        found = obstore.head(store, key_of(LAST))["e_tag"]
        simulator.set_flatfiles([FlatFile(session=LAST, version=version)])
        expected = obstore.head(store, key_of(LAST))["e_tag"]
        simulator.set_flatfiles([FlatFile(session=LAST, published="no")])
        listed = names(store, PREFIX)

    assert found == expected
    assert key_of(LAST) not in listed


@pytest.mark.parametrize(
    ("session", "form", "price"),
    [
        (date(2025, 11, 24), r"^\d+$", r"^\d+\.\d{1,2}$"),
        (DAY, r"^\d+\.\d{1,6}$", r"^\d+\.\d{6}$"),
    ],
)
def test_6_8_volume_is_whole_in_old_files_and_fractional_in_new_ones(
    session: date, form: str, price: str
) -> None:
    span = {"first": str(session), "last": str(session)}
    with bucket(synthetic=span) as (store, _):
        rows = read(store, key_of(session))

    assert rows["volume"].str.contains(form).all()
    assert rows["open"].str.contains(price).all()


def test_6_8_symbols_that_look_like_null_are_in_the_file() -> None:
    with bucket() as (store, _):
        rows = read(store, key_of(DAY))

    assert {"NA", "NAN", "NULL", "TRUE", "BF/B"} - set(rows["ticker"]) == set()


def test_6_8_listing_works_where_reading_is_forbidden() -> None:
    forbidden = [{"session": str(DAY), "published": "forbidden"}]
    plan = {"denied": [{"vendor": "flatfiles", "path": "day_aggs_v1"}]}
    with bucket(flatfiles=forbidden, plan=plan) as (store, _):
        listed = names(store, "us_stocks_sip/")
        with pytest.raises(PermissionDeniedError):
            obstore.get(store, key_of(DAY))
        with pytest.raises(PermissionDeniedError):
            obstore.get(store, key_of(LAST, "day_aggs_v1"))

    assert {key_of(DAY), key_of(LAST, "day_aggs_v1")} - set(listed) == set()


def test_6_8_a_file_is_truncated() -> None:
    with bucket(flatfiles=[{"session": str(DAY), "truncated": True}]) as (store, _):
        packed = bytes(obstore.get(store, key_of(DAY)).bytes())

    with pytest.raises(EOFError):
        gzip.decompress(packed)


def test_a_file_holds_the_truth_in_the_vendors_columns() -> None:
    with bucket() as (store, simulator):
        rows = read(store, key_of(DAY))
        truth = simulator.market.minute_bars(DAY)

    assert rows.columns == [
        "ticker",
        "volume",
        "open",
        "close",
        "high",
        "low",
        "window_start",
        "transactions",
    ]
    numbers = rows.select(
        symbol="ticker",
        minute=pl.col("window_start").cast(pl.Int64) // 1000,
        **{name: pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")},
        volume=pl.col("volume").cast(pl.Float64),
    )
    expected = truth.select(
        "symbol", pl.col("minute").dt.epoch("us"), "open", "high", "low", "close", "volume"
    )
    assert numbers.equals(expected)


def test_a_day_file_is_stamped_with_new_york_midnight() -> None:
    with bucket() as (store, simulator):
        rows = read(store, key_of(DAY, "day_aggs_v1"))
        truth = simulator.market.daily_bars(DAY)

    assert set(rows["window_start"]) == {"1795496400000000000"}
    assert rows["ticker"].to_list() == truth["symbol"].to_list()


def test_a_range_of_a_file_is_read() -> None:
    with bucket() as (store, _):
        whole = bytes(obstore.get(store, key_of(DAY)).bytes())
        parts = [
            bytes(obstore.get_range(store, key_of(DAY), start=start, end=start + 1000))
            for start in range(0, len(whole), 1000)
        ]

    assert b"".join(parts) == whole


def test_an_unchanged_file_is_not_sent_again() -> None:
    with bucket() as (store, simulator):
        etag = obstore.head(store, key_of(DAY))["e_tag"]
        answer = httpx2.get(
            f"{simulator.flatfiles_url}/flatfiles/{key_of(DAY)}",
            headers={
                "if-none-match": etag or "",
                "authorization": f"AWS4-HMAC-SHA256 Credential={simulator.keys.flatfiles[0]}/x",
            },
        )

    assert answer.status_code == 304


def test_an_unknown_access_key_is_refused() -> None:
    with bucket() as (_, simulator):
        store = store_of(simulator, "wrong")
        with pytest.raises(PermissionDeniedError):
            obstore.get(store, key_of(DAY))


def test_the_same_file_is_the_same_bytes_in_another_simulation() -> None:
    def packed() -> bytes:
        with bucket() as (store, _):
            return bytes(obstore.get(store, key_of(DAY)).bytes())

    assert packed() == packed()
