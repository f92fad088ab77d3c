"""Which symbols a session should hold: a list, a file, or whatever was listed that day."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.reference import SYMBOLS, SYMBOLS_KEY
from stock_platform.errors import PermanentError
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.context import universe_on
from stock_platform.settings import MarketSettings, load

DAY = date(2026, 11, 19)


def market(monkeypatch: pytest.MonkeyPatch, symbols: str | None) -> MarketSettings:
    monkeypatch.delenv("STOCKS_SYMBOLS", raising=False)
    if symbols is not None:
        monkeypatch.setenv("STOCKS_SYMBOLS", symbols)
    return load(MarketSettings)


def listed(folder: Path, *symbols: str) -> FileStore:
    store = FileStore.open(folder)
    rows = [dict.fromkeys(SYMBOLS) | {"symbol": symbol, "as_of": DAY} for symbol in symbols]
    frame = pl.DataFrame(rows, schema=SYMBOLS)
    write.publish_table(store, "reference_symbols", DAY, frame, key=SYMBOLS_KEY)
    return store


def test_five_symbols_are_expected_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = universe_on(FileStore.open(tmp_path), DAY, market(monkeypatch, None))

    assert found == ["GOOG", "MSFT", "NVDA", "QUBT", "RKLB"]


@pytest.mark.parametrize("text", ["RKLB,AAPL", " RKLB , AAPL ,"])
def test_a_list_is_what_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    found = universe_on(FileStore.open(tmp_path), DAY, market(monkeypatch, text))

    assert found == ["AAPL", "RKLB"]


def test_a_file_holds_one_symbol_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "watchlist.txt").write_text("RKLB\nAAPL\n\n")

    chosen = market(monkeypatch, f"@{tmp_path}/watchlist.txt")

    assert universe_on(FileStore.open(tmp_path / "lake"), DAY, chosen) == ["AAPL", "RKLB"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfRKLB\r\nAAPL\r\n",
        b"symbol\nRKLB\nAAPL\n",
        b'\xef\xbb\xbf"Ticker"\n"AAPL"\n"RKLB"\n',
        b'Name,Symbol,Weight\n"Apple, Inc.",AAPL,0.5\nRocket Lab,RKLB,0.5\n',
        b"ticker;name\nAAPL;Apple Inc\nRKLB;Rocket Lab\n",
        b"# my list\n\nAAPL   # Apple\n'RKLB'\n  # nothing\n",
        b"AAPL, RKLB\nAAPL",
        b"AAPL RKLB\tAAPL\n",
    ],
    ids=["bom", "header", "quoted", "table", "semicolons", "comments", "commas", "blanks"],
)
def test_a_file_of_symbols_is_read_as_people_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "watchlist.csv").write_bytes(content)

    chosen = market(monkeypatch, f"@{tmp_path}/watchlist.csv")

    assert sorted(chosen.symbols or ()) == ["AAPL", "RKLB"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"symbol\n\n# none\n", "names no symbol"),
        (b"", "names no symbol"),
        (b"\xff\xfeA\x00A\x00", "is not a text in UTF-8"),
        (b"AAPL\n../etc\n", "a symbol starts with"),
    ],
)
def test_a_file_that_holds_no_list_of_symbols_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    (tmp_path / "watchlist.csv").write_bytes(content)

    with pytest.raises(PermanentError, match=f"STOCKS_SYMBOLS: .*{message}"):
        market(monkeypatch, f"@{tmp_path}/watchlist.csv")


def test_the_whole_market_is_what_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = listed(tmp_path, "GOOG", "BRK.B", "ZZZ")

    assert universe_on(store, DAY, market(monkeypatch, "*")) == ["BRK.B", "GOOG", "ZZZ"]


def test_the_whole_market_without_a_list_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PermanentError, match="reference/symbols is empty: materialize it first"):
        universe_on(FileStore.open(tmp_path), DAY, market(monkeypatch, "*"))


def test_a_watched_symbol_is_expected_whether_or_not_a_snapshot_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = listed(tmp_path, "GOOG")

    assert universe_on(store, DAY, market(monkeypatch, "GOOG,NEWCO")) == ["GOOG", "NEWCO"]


@pytest.mark.parametrize("wrong", ["../etc/passwd", "@/no/such/file"])
def test_a_watchlist_that_cannot_be_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    with pytest.raises(PermanentError, match="settings are wrong: STOCKS_SYMBOLS: "):
        market(monkeypatch, wrong)
