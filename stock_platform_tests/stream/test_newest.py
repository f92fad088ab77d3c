"""The newest value of each key, whatever the order and the form of the events."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.stream.events import decode
from stock_platform.stream.sinks.conflation import Conflator, Lifetimes

NOW = datetime(2026, 11, 21, 16, 0, 0, 123_000, tzinfo=UTC)


def newest_of(*frames: bytes) -> dict[str, dict[str, object]]:
    newest = Conflator(Lifetimes())
    for frame in frames:
        newest.add(decode(frame).events)
    return {name.decode(): json.loads(value) for name, value, _ in drained(newest)}


def drained(newest: Conflator) -> list[tuple[bytes, bytes, int]]:
    return [
        (key, value, update.ttl_s)
        for update in newest.drain(NOW)
        for key, value in zip(update.keys, update.values, strict=True)
    ]


def frame(*events: dict[str, object]) -> bytes:
    return json.dumps(events).encode()


def test_a_minute_bar_is_given_as_agreed() -> None:
    bar = {"ev": "AM", "sym": "BRK.B", "v": 4989, "dv": "4989.250000", "vw": 2.5}
    bar |= {"o": 1.5, "h": 3, "l": 1, "c": 2, "s": 1715097600000, "e": 1715097660000}

    [(key, value)] = newest_of(frame(bar)).items()

    assert key == "stock:agg1m:BRK.B"
    assert list(value.items()) == [
        ("symbol", "BRK.B"),
        ("start", 1715097600000),
        ("end", 1715097659999),
        ("open", 1.5),
        ("high", 3),
        ("low", 1),
        ("close", 2),
        ("volume", 4989.25),
        ("vwap", 2.5),
        ("updatedAt", "2026-11-21T16:00:00.123Z"),
    ]


STAMP = ("updatedAt", "2026-11-21T16:00:00.123Z")
AT = {"sym": "A", "t": 1715097600123, "q": 7}


@pytest.mark.parametrize(
    ("event", "key", "fields"),
    [
        (
            {"ev": "T", **AT, "p": 1.5, "s": 3, "ds": "3.25", "c": [14, 41]},
            "stock:trade:A",
            [("price", 1.5), ("ts", AT["t"]), ("size", 3.25), ("conditions", [14, 41])],
        ),
        (
            {"ev": "T", **AT, "p": 1.5, "s": 3},
            "stock:trade:A",
            [("price", 1.5), ("ts", AT["t"]), ("size", 3), ("conditions", [])],
        ),
        (
            {"ev": "T", **AT, "p": 1.5, "s": 3, "c": None},
            "stock:trade:A",
            [("price", 1.5), ("ts", AT["t"]), ("size", 3), ("conditions", [])],
        ),
        (
            {"ev": "Q", **AT, "bp": 1.25, "bs": 2, "ap": 1.5, "as": 4, "c": 1, "i": [604]},
            "stock:quote:A",
            [("bid", 1.25), ("bidSize", 2), ("ask", 1.5), ("askSize", 4), ("ts", AT["t"])],
        ),
        (
            {"ev": "FMV", "sym": "A", "t": AT["t"], "fmv": 189.22},
            "stock:fmv:A",
            [("price", 189.22), ("ts", AT["t"])],
        ),
    ],
)
def test_a_value_has_the_agreed_fields_and_types(
    event: dict[str, object], key: str, fields: list[tuple[str, object]]
) -> None:
    [(found, value)] = newest_of(frame(event)).items()

    assert found == key
    assert list(value.items()) == [("symbol", "A"), *fields, STAMP]


def test_a_bar_without_its_end_ends_with_its_minute() -> None:
    [value] = newest_of(frame({"ev": "AM", "sym": "A", "s": 1715097600000})).values()

    assert (value["start"], value["end"]) == (1715097600000, 1715097659999)


def test_the_decimal_volume_keeps_every_digit() -> None:
    newest = Conflator(Lifetimes())
    newest.add(decode(b'[{"ev":"AM","sym":"A","s":1,"dv":"12345678901234.123456"}]').events)

    [(_, value, _)] = drained(newest)

    assert b'"volume":12345678901234.123456,' in value


def test_a_resent_minute_replaces_and_an_earlier_minute_does_not() -> None:
    values = newest_of(
        frame({"ev": "AM", "sym": "A", "s": 120_000, "c": 1}),
        frame({"ev": "AM", "sym": "A", "s": 120_000, "c": 2}),
        frame({"ev": "AM", "sym": "A", "s": 60_000, "c": 3}),
    )

    assert values["stock:agg1m:A"]["close"] == 2


def test_an_older_trade_never_replaces_a_newer_one_and_q_breaks_ties() -> None:
    values = newest_of(
        frame({"ev": "T", "sym": "A", "t": 2, "q": 5, "p": 1}),
        frame({"ev": "T", "sym": "A", "t": 1, "q": 9, "p": 2}),
        frame({"ev": "T", "sym": "A", "t": 2, "q": 4, "p": 3}),
    )

    assert values["stock:trade:A"]["price"] == 1


def test_a_repeated_sequence_number_is_no_reason_to_drop_an_event() -> None:
    values = newest_of(
        frame({"ev": "Q", "sym": "A", "t": 2, "q": 5, "bp": 1}),
        frame({"ev": "Q", "sym": "A", "t": 2, "q": 5, "bp": 2}),
    )

    assert values["stock:quote:A"]["bid"] == 2


def test_microseconds_and_nanoseconds_become_milliseconds() -> None:
    values = newest_of(
        frame({"ev": "FMV", "sym": "A", "t": 1715097600000123456, "fmv": 1}),
        frame({"ev": "T", "sym": "A", "t": 1715097600000123, "p": 1}),
    )

    assert values["stock:fmv:A"]["ts"] == values["stock:trade:A"]["ts"] == 1715097600000


def test_odd_events_do_not_cost_their_neighbours() -> None:
    text = (
        b'[{"ev":"XX","sym":"A"},{"ev":"Q","sym":5,"t":1},{"sym":"\\u0041","new":[1],"q":7,'
        b' "t" : 3,"ev":"T", "p":1.5}, 7]'
    )
    decoded = decode(text)

    values = newest_of(text)

    assert values["stock:trade:A"]["price"] == 1.5
    assert decoded.unknown == 1
    assert len(decoded.malformed) == 2


@pytest.mark.parametrize("number", [2**62 + 1, 2**63, 10**30, -(2**62) - 1])
@pytest.mark.parametrize("field", ["t", "q"])
def test_a_time_or_number_beyond_every_clock_is_told_and_costs_no_neighbour(
    number: int, field: str
) -> None:
    text = frame(
        {"ev": "T", "sym": "A", "t": 1, "q": 1, "p": 1} | {field: number},
        {"ev": "T", "sym": "B", "t": 1, "p": 2},
    )

    assert list(newest_of(text)) == ["stock:trade:B"]
    assert len(decode(text).malformed) == 1


def test_a_symbol_no_exchange_could_have_is_refused_and_counted() -> None:
    newest = Conflator(Lifetimes())

    newest.add(
        decode(
            frame({"ev": "T", "sym": "A\r\nSET x", "t": 1}, {"ev": "T", "sym": "../x", "t": 1})
        ).events
    )

    assert newest.waiting == 0
    assert newest.refused_symbols == 2


def test_what_redis_holds_already_is_not_replaced_by_something_older() -> None:
    newest = Conflator(Lifetimes())
    newest.add(
        decode(
            frame({"ev": "T", "sym": "A", "t": 5, "p": 1}, {"ev": "T", "sym": "B", "t": 5, "p": 1})
        ).events
    )

    unseen = newest.unverified_keys()
    newest.seed([b'{"ts":9}', b'{"ts":5}'])

    assert unseen == [b"stock:trade:A", b"stock:trade:B"]
    assert [name for name, _, _ in drained(newest)] == [b"stock:trade:B"]


def test_what_could_not_be_set_is_given_again_unless_something_newer_came() -> None:
    newest = Conflator(Lifetimes())
    newest.add(
        decode(
            frame({"ev": "T", "sym": "A", "t": 1, "p": 1}, {"ev": "T", "sym": "B", "t": 1, "p": 1})
        ).events
    )
    newest.drain(NOW)
    newest.add(decode(frame({"ev": "T", "sym": "A", "t": 2, "p": 2})).events)

    newest.requeue()

    prices = {name: json.loads(value)["price"] for name, value, _ in drained(newest)}
    assert prices == {b"stock:trade:A": 2, b"stock:trade:B": 1}


EVENT = st.fixed_dictionaries(
    {
        "ev": st.sampled_from(["T", "Q", "XX"]),
        "sym": st.sampled_from(["A", "B", "\u0041C", "BRK.B"]),
        "t": st.integers(1, 5),
        "q": st.integers(0, 3),
    },
    optional={
        "p": st.floats(0.01, 1e6) | st.integers(1, 100),
        "bp": st.floats(0.01, 1e6),
        "c": st.just(None),
        "extra": st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    },
)


@given(
    frames=st.lists(st.lists(EVENT, max_size=6), max_size=6),
    order=st.randoms(),
    spaces=st.sampled_from([None, 2]),
    drains=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_any_form_and_any_flush_give_what_a_plain_reading_gives(
    frames: list[list[dict[str, object]]], order: object, spaces: int | None, drains: list[bool]
) -> None:
    newest, found = Conflator(Lifetimes()), {}
    expected: dict[str, dict[str, object]] = {}
    for events, drain in zip(frames, drains, strict=False):
        shuffled = []
        for event in events:
            items = list(event.items())
            order.shuffle(items)  # type: ignore[attr-defined]
            shuffled.append(dict(items))
            key = f"{event['ev']}:{event['sym']}"
            old = expected.get(key)
            if old is None or (event["t"], event["q"]) >= (old["t"], old["q"]):  # type: ignore[operator]
                expected[key] = event
        newest.add(decode(json.dumps(shuffled, indent=spaces).encode()).events)
        if drain:
            found |= {name.decode(): json.loads(value) for name, value, _ in drained(newest)}
    found |= {name.decode(): json.loads(value) for name, value, _ in drained(newest)}

    names = {"T": "trade", "Q": "quote"}
    fields = {"T": ("price", "p"), "Q": ("bid", "bp")}
    plain = {
        f"stock:{names[key[0]]}:{event['sym']}": (event["t"], event.get(fields[key[0]][1]))
        for key, event in expected.items()
        if key[0] in names
    }
    ours = {
        key: (value["ts"], value[fields["T" if ":trade:" in key else "Q"][0]])
        for key, value in found.items()
    }
    assert ours == plain


@given(junk=st.binary(max_size=80))
def test_no_bytes_make_the_decoder_fail(junk: bytes) -> None:
    decoded = decode(junk)

    assert len(decoded.malformed) + decoded.unknown + len(decoded.events) >= 0


@pytest.mark.parametrize("stored", [10**15, 2**62, 2**63, 10**30])
def test_a_stored_time_nobody_meant_is_borne(stored: int) -> None:
    newest = Conflator(Lifetimes())
    newest.add(decode(frame({"ev": "T", "sym": "A", "t": 1795276800000123456, "p": 1})).events)

    assert newest.unverified_keys() == [b"stock:trade:A"]
    newest.seed([b'{"ts":%d}' % stored])

    assert newest.unverified_keys() == []
