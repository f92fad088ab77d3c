"""The processes' options: the names of this machine, and which symbols to ask for."""

from datetime import date
from pathlib import Path

import pytest

from stock_platform.lake import tables
from stock_platform.simulator.server import running
from stock_platform.stream import processes
from stock_platform_tests.stream.sidecar import all_settings, settings_for

TODAY = date(2026, 11, 18)
LISTED = {"market": {"synthetic": {"symbols": 20, "first": "2026-11-18", "last": "2026-11-18"}}}


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("web-1.example.org", "web-1.example.org"),
        ("_Büro 7", "B-ro-7"),
        ("stocks-stream-5d4f7c9b8-x2x9z", "stocks-stream-5d4f7c9b8-x2x9z"),
        ("", "host"),
    ],
)
def test_objects_are_named_after_the_machine_as_it_calls_itself(
    machine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: machine)

    assert processes.hostname() == name


@pytest.mark.parametrize("machine", ["web-1.example.org", "x" * 200 + "-7"])
def test_the_lake_accepts_the_name_of_this_machines_writer(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: machine)

    assert processes.writer("sidecar")[-8:] in tables.connections(
        TODAY, processes.writer("sidecar")
    )


def test_listed_symbols_are_added_behind_the_configured_ones_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(LISTED) as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        chosen = [
            processes.symbols_to_subscribe(
                all_settings(
                    settings_for(
                        tmp_path,
                        "ws://x",
                        "ws://y",
                        "redis://z",
                        polygon_ws_symbols="ZZZ,MSFT",
                        polygon_discover_tickers=discover,
                        polygon_ticker_limit=limit,
                    )
                ),
                TODAY,
            )
            for discover, limit in [(True, 0), (True, 3), (False, 0)]
        ]

    everything, limited, configured = chosen
    assert everything is not None
    assert everything[:2] == ("ZZZ", "MSFT")
    assert len(everything) == len(set(everything)) == 21
    assert limited == everything[:3]
    assert configured == ("ZZZ", "MSFT")


def test_without_the_listing_the_configured_symbols_still_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running({**LISTED, "plan": {"denied": [{"path": "/v3/reference"}]}}) as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        settings = settings_for(
            tmp_path,
            "ws://x",
            "ws://y",
            "redis://z",
            polygon_ws_symbols="MSFT",
            polygon_discover_tickers=True,
        )

        assert processes.symbols_to_subscribe(all_settings(settings), TODAY) == ("MSFT",)


def test_a_star_is_all_symbols_and_asks_nobody(tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path, "ws://x", "ws://y", "redis://z", polygon_discover_tickers=True
    )

    assert processes.symbols_to_subscribe(all_settings(settings), TODAY) is None
