"""The dialogue with the vendor, and the waits between two of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.stream.feed.handshake import Handshake, Phase, closing_status
from stock_platform.stream.feed.websocket import ReconnectBackoff


def said(*statuses: tuple[str, str]) -> bytes:
    return json.dumps([{"ev": "status", "status": s, "message": m} for s, m in statuses]).encode()


def opened(**changes: object) -> Handshake:
    usual: dict[str, object] = {
        "api_key": "k",
        "channels": ("AM", "FMV"),
        "symbols": ("A", "B"),
        "batch": 3,
    }
    talk = Handshake(**{**usual, **changes})  # type: ignore[arg-type]
    talk.open()
    return talk


def test_it_authenticates_first_and_subscribes_only_after_success() -> None:
    talk = opened()

    talk.receive(said(("connected", "Connected Successfully")))
    before = list(talk.to_send)
    talk.receive(said(("auth_success", "authenticated")))

    assert [json.loads(text)["action"] for text in before] == ["auth"]
    assert [json.loads(text)["params"] for text in talk.to_send[1:]] == ["AM.A,AM.B,FMV.A", "FMV.B"]


def test_all_symbols_are_one_wildcard_per_channel() -> None:
    talk = opened(symbols=None)

    talk.receive(said(("auth_success", "authenticated")))

    assert json.loads(talk.to_send[-1])["params"] == "AM.*,FMV.*"


def test_a_channel_is_confirmed_once_each_of_its_symbols_is() -> None:
    talk = opened()
    talk.receive(said(("auth_success", "authenticated")))

    talk.receive(said(("success", "subscribed to: AM.A"), ("success", "subscribed to: FMV.A")))
    half = set(talk.confirmed)
    talk.receive(said(("success", "subscribed to: AM.B"), ("error", "not authorized")))

    assert half == set()
    assert talk.confirmed == {"AM"}
    assert talk.refused == 1
    assert talk.phase is Phase.STREAMING


def test_a_plan_that_includes_none_of_it_is_terminal() -> None:
    talk = opened(symbols=None)
    talk.receive(said(("auth_success", "authenticated")))

    first, last = talk.receive(said(("error", "not authorized"), ("error", "not authorized")))

    assert not first.closing
    assert last.terminal
    assert last.closing
    assert last.explanation == "every subscription was refused: not authorized"


def test_a_channel_passed_over_in_silence_does_not_hold_up_the_others() -> None:
    talk = opened(symbols=None)
    talk.receive(said(("auth_success", "authenticated")))
    nothing = talk.accept_partial()
    talk.receive(said(("success", "subscribed to: AM.*")))

    done = talk.accept_partial()

    assert (nothing, done) == (False, True)
    assert talk.phase is Phase.STREAMING
    assert (talk.confirmed, talk.unconfirmed) == ({"AM"}, ["FMV"])


def test_statuses_among_data_are_heard() -> None:
    talk = opened()
    frame = b'[{"ev":"T","sym":"A","t":1},{"ev":"status","status":"max_connections","message":"x"}]'

    [notice] = talk.receive(frame)

    assert notice.closing
    assert notice.terminal


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b'[{"ev":"T","t":1},{"ev":"status","status":"slow_consumer","message":"x"}]', "slow"),
        (b'[{"ev":"T","t":1},{"ev":"status","status":"success","message":"x"}]', ""),
        (b'[{"ev":"T","t":1}]', ""),
        (b'[{"ev":"T","text":"status"', ""),
        (b"", ""),
    ],
)
def test_the_last_words_behind_data_explain_an_end(frame: bytes, why: str) -> None:
    notice = closing_status(frame)

    assert why in (notice.explanation if notice else "")
    assert bool(why) == bool(notice)


def test_the_key_is_in_no_representation() -> None:
    assert "secret-key" not in repr(opened(api_key="secret-key", channels=()).to_send[1:])


@given(frame=st.binary(max_size=60))
def test_no_frame_ends_the_dialogue(frame: bytes) -> None:
    opened().receive(b"status" + frame)


@given(attempts=st.integers(0, 300), chance=st.floats(0, 0.999))
def test_waits_rise_to_their_bound_and_never_above(attempts: int, chance: float) -> None:
    backoff = ReconnectBackoff(initial_ms=1000, factor=2.0, max_ms=30_000, attempts=attempts)

    wait = backoff.next_s(chance)

    assert 0.75 <= wait <= 30
    assert backoff.next_s(0) >= wait * 0.99 or wait >= 22.5


def test_a_terminal_refusal_waits_the_longest_at_once() -> None:
    assert (
        ReconnectBackoff(initial_ms=1000, factor=2.0, max_ms=30_000).next_s(0, terminal=True) == 30
    )
