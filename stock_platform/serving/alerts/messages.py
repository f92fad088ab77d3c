"""The words of each kind of alert, and the key under which it is told once."""

from collections.abc import Sequence
from datetime import date, datetime

from stock_platform.serving.alerts.dispatch import Alert, Kind, Severity

SYMBOLS_NAMED_MAX = 20


def run_link(dagster_url: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{dagster_url.rstrip('/')}/runs/{run_id}"


def failed_run(job: str, run_id: str, reason: str, *, dagster_url: str) -> Alert:
    """Speak of a run nobody will retry; one alert per job and window, not per run."""
    return Alert(
        Kind.FAILED_RUN, job, f"Run of {job} failed", reason, run_link(dagster_url, run_id)
    )


def refused_gap(
    session: date, symbols: Sequence[str], provider: str, *, run_id: str = "", dagster_url: str
) -> Alert:
    """Speak of minutes a provider will not give; they stay missing until somebody decides."""
    return Alert(
        Kind.REFUSED_GAP,
        f"{session} {provider}",
        f"{provider} refuses {len(symbols)} symbols of {session}",
        f"The plan does not include {_named(symbols)}. These minutes count as missing, not empty.",
        run_link(dagster_url, run_id) if run_id else dagster_url,
    )


def exhausted_gap(
    session: date, symbols: Sequence[str], minutes: int, *, dagster_url: str
) -> Alert:
    """Speak of minutes that were asked for as often as the settings allow."""
    return Alert(
        Kind.EXHAUSTED_GAP,
        f"{session}",
        f"{minutes} minutes of {session} could not be healed",
        f"Every try is used up for {_named(symbols)}.",
        dagster_url,
    )


def silent_stream(channel: str, since: datetime, *, dagster_url: str) -> Alert:
    """Speak of a channel that should speak and does not."""
    return Alert(
        Kind.SILENT_STREAM,
        channel,
        f"The stream is silent: {channel}",
        f"Nothing has come on {channel} since {since:%Y-%m-%d %H:%M:%S} UTC.",
        dagster_url,
    )


def late_report(week: date, due_at: datetime, reason: str, *, dagster_url: str) -> Alert:
    """Speak of a weekly report that did not leave in time; `week` is its Monday."""
    return Alert(
        Kind.LATE_REPORT,
        f"{week}",
        f"The weekly report of {week} is late",
        f"It was due at {due_at:%Y-%m-%d %H:%M} UTC. {reason}".strip(),
        dagster_url,
    )


def stale_data(dataset: str, newest: date | None, expected: date, *, dagster_url: str) -> Alert:
    """Speak of a dataset that ends before the session it should reach."""
    ends = f"ends at {newest}" if newest else "is empty"
    return Alert(
        Kind.STALE_DATA,
        dataset,
        f"{dataset} is stale",
        f"{dataset} {ends}; {expected} is expected.",
        dagster_url,
        Severity.WARNING,
    )


def _named(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:SYMBOLS_NAMED_MAX])
    more = len(symbols) - SYMBOLS_NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
