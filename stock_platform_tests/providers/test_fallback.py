"""One rule over several sources: the next follows a failure, and what may pass is transient."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.fallback import combined_error, first_success

KINDS = (TransientError, PermanentError, InvalidDataError, NotEntitledError)
OUTCOMES = st.lists(st.sampled_from([None, *KINDS]), max_size=4)


@dataclass(frozen=True)
class Source:
    """Raises an error of its kind, or responds with its name."""

    name: str
    kind: type[PlatformError] | None = None

    def respond(self) -> str:
        if self.kind:
            raise self.kind("out of order")
        return self.name


def sources_of(kinds: list[type[PlatformError] | None]) -> list[Source]:
    return [Source(f"s{number}", kind) for number, kind in enumerate(kinds)]


@given(OUTCOMES)
def test_the_first_source_that_responds_is_the_last_requested(
    kinds: list[type[PlatformError] | None],
) -> None:
    attempted = first_success(sources_of(kinds), Source.respond)

    first = kinds.index(None) if None in kinds else len(kinds)
    assert [name for name, _ in attempted.failures] == [f"s{n}" for n in range(first)]
    assert attempted.responses == ([f"s{first}"] if None in kinds else [])


@given(OUTCOMES)
def test_an_incomplete_response_is_followed_by_the_next_source(
    kinds: list[type[PlatformError] | None],
) -> None:
    attempted = first_success(sources_of(kinds), Source.respond, complete=lambda name: False)

    assert attempted.responses == [f"s{n}" for n, kind in enumerate(kinds) if kind is None]
    assert len(attempted.failures) + len(attempted.responses) == len(kinds)


def test_a_failure_is_given_away_before_the_next_source_is_requested() -> None:
    events = list[str]()

    first_success(
        sources_of([TransientError, None]),
        lambda source: events.append(f"requested {source.name}") or source.respond(),
        on_failure=lambda source, error: events.append(f"{source.name}: {error}"),
    )

    assert events == ["requested s0", "s0: out of order", "requested s1"]


def test_an_error_that_is_not_a_providers_is_raised() -> None:
    def broken(source: Source) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first_success(sources_of([None]), broken)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_two_failures_are_transient_if_any_may_pass(
    first: type[PlatformError], second: type[PlatformError]
) -> None:
    error = combined_error([("one", first("a")), ("two", second("b"))])

    same = first if first is second else PermanentError
    assert type(error) is (TransientError if TransientError in (first, second) else same)
    assert str(error) == "one: a; two: b"


def test_the_shortest_delay_that_was_named_counts() -> None:
    delays = [None, 9.0, 4.0]

    error = combined_error([("one", TransientError("busy", delay_s=delay)) for delay in delays])

    assert isinstance(error, TransientError)
    assert error.delay_s == 4.0


def test_no_source_at_all_is_permanent_and_names_the_remedy() -> None:
    attempted = first_success(sources_of([]), Source.respond)

    with pytest.raises(PermanentError, match="set MASSIVE_API_KEY"):
        attempted.raise_without_response("set MASSIVE_API_KEY")
