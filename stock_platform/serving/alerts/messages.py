"""The text of each kind of alert, and the key under which it is sent once per window."""

from collections.abc import Sequence
from datetime import date, datetime

from stock_platform.serving.alerts.dispatch import Alert, AlertKind, Severity

SYMBOLS_NAMED_MAX = 20


def run_link(dagster_url: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{dagster_url.rstrip('/')}/runs/{run_id}"


def failed_run(job: str, run_id: str, reason: str, *, dagster_url: str) -> Alert:
    """Return the alert of a run that is not retried; one per job and window, not per run."""
    return Alert(
        AlertKind.FAILED_RUN, job, f"Run of {job} failed", reason, run_link(dagster_url, run_id)
    )


def refused_gap(
    session: date, symbols: Sequence[str], provider: str, *, run_id: str = "", dagster_url: str
) -> Alert:
    """Return the alert of minutes the plan does not include; they stay missing."""
    return Alert(
        AlertKind.REFUSED_GAP,
        f"{session} {provider}",
        f"{provider} refuses {len(symbols)} symbols of {session}",
        f"The plan does not include {_named(symbols)}. These minutes count as missing, not empty.",
        run_link(dagster_url, run_id) if run_id else dagster_url,
    )


def exhausted_gap(
    session: date, symbols: Sequence[str], minutes: int, *, dagster_url: str
) -> Alert:
    """Return the alert of minutes requested as often as the settings allow."""
    return Alert(
        AlertKind.EXHAUSTED_GAP,
        f"{session}",
        f"{minutes} minutes of {session} could not be healed",
        f"Every try is used up for {_named(symbols)}.",
        dagster_url,
    )


def silent_stream(channel: str, since: datetime, *, dagster_url: str) -> Alert:
    """Return the alert of a channel of the feed that sends nothing during a session."""
    return Alert(
        AlertKind.SILENT_STREAM,
        channel,
        f"The stream is silent: {channel}",
        f"Nothing has come on {channel} since {since:%Y-%m-%d %H:%M:%S} UTC.",
        dagster_url,
    )


def late_report(week: date, due_at: datetime, reason: str, *, dagster_url: str) -> Alert:
    """Return the alert of a weekly report not sent in time; `week` is its Monday."""
    return Alert(
        AlertKind.LATE_REPORT,
        f"{week}",
        f"The weekly report of {week} is late",
        f"It was due at {due_at:%Y-%m-%d %H:%M} UTC. {reason}".strip(),
        dagster_url,
    )


def stale_data(dataset: str, newest: date | None, expected: date, *, dagster_url: str) -> Alert:
    """Return the alert of a dataset that ends before the session it should reach."""
    ends = f"ends at {newest}" if newest else "is empty"
    return Alert(
        AlertKind.STALE_DATA,
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
