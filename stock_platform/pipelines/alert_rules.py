"""What is wrong now, as alerts: unfillable gaps, a silent stream, a late report, stale data.

Each is found from the lake alone, wherever its writers run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import polars as pl

from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.liveness import silent_channels
from stock_platform.healing.unfillable import exhausted, refused
from stock_platform.indicators.weekly import Week
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import read
from stock_platform.lake.append_log import read_responses
from stock_platform.pipelines.context import LakeContext
from stock_platform.serving.alerts import messages
from stock_platform.serving.alerts.dispatch import Alert, AlertKind
from stock_platform.settings import AutomationSettings

REPORT_DUE = time(16, tzinfo=UTC)
"""On the Saturday of the week."""
REPORT_LATE_FOR = timedelta(days=7)
"""A missing report is an alert this long; then the next one is of interest."""
SESSIONS_ALERTED_MAX = 5
"""Sessions that get an alert of their own, the newest; older ones share one."""
STATES = {
    "lake/minute_bars": "minute_bars",
    "lake/coverage": "coverage",
    "indicators/daily": "indicators_daily_state",
    "indicators/minute": "indicators_minute_state",
}
"""Datasets of one object per session, by the table that shows how far they reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """The alerts of one lake at one time."""

    context: LakeContext
    now: datetime
    following: AutomationSettings
    dagster_url: str

    def gaps(self) -> Iterator[Alert]:
        """Yield an alert for minutes that are refused, and for those without a retry left."""
        older: list[date] = []
        with_alerts = 0
        for session in self._sessions_with_missing():
            alerts = list(self._gaps_of(self.context.calendar.grid(session)))
            with_alerts += bool(alerts)
            if alerts and with_alerts > SESSIONS_ALERTED_MAX:
                older.append(session)
            else:
                yield from alerts
        if older:
            yield Alert(
                AlertKind.EXHAUSTED_GAP,
                "older sessions",
                f"{len(older)} older sessions lack minutes for good",
                f"{older[-1]} to {older[0]}: `stocks coverage` shows which.",
                self.dagster_url,
            )

    def _sessions_with_missing(self) -> list[date]:
        """Return them newest first, from one scan of counts."""
        known = coverage_table.summaries(self.context.store, self.context.sessions(self.now))
        missing = known.filter(pl.col("missing") > 0)
        return sorted(missing["session"].to_list(), reverse=True)

    def _gaps_of(self, grid: MinuteGrid) -> Iterator[Alert]:
        coverage, session = self.context.coverage(grid), grid.session
        if symbols := set(refused(coverage).symbols):
            responses = read_responses(self.context.store, session)
            refusals = responses.filter(pl.col("outcome") == "refused")
            for (provider,), rows in refusals.group_by("provider", maintain_order=True):
                requested = set(rows["symbol"])
                concerned = sorted(symbols if "*" in requested else symbols & requested)
                if concerned:
                    yield messages.refused_gap(
                        session, concerned, str(provider), dagster_url=self.dagster_url
                    )
        given_up = exhausted(coverage, self.now, self.context.policy.retry)
        if given_up.minutes:
            yield messages.exhausted_gap(
                session, given_up.symbols, given_up.minutes, dagster_url=self.dagster_url
            )

    def stream(self, signs: Mapping[str, datetime], grid: MinuteGrid | None) -> Iterator[Alert]:
        """Yield an alert for each channel without data or heartbeat while the market is open."""
        patience = timedelta(seconds=self.following.stream_silent_after_s)
        for channel, since in silent_channels(signs, grid, self.now, patience).items():
            yield messages.silent_stream(channel, since, dagster_url=self.dagster_url)

    def report(self) -> Iterator[Alert]:
        """Yield an alert for the newest report that is due and not sent."""
        late = timedelta(hours=self.following.report_late_after_hours)
        week = Week.of(self.context.calendar, (self.now - late).date())
        if datetime.combine(week.monday + timedelta(days=5), REPORT_DUE) + late > self.now:
            week = Week.of(self.context.calendar, week.monday - timedelta(days=1))
        due_at = datetime.combine(week.monday + timedelta(days=5), REPORT_DUE)
        if not week.sessions or self.now - due_at > REPORT_LATE_FOR:
            return
        # Charts come with it: a second of imports that only who mails reports needs.
        from stock_platform.serving.report.delivery import MailRecord, record_path

        found = self.context.store.get(record_path(week))
        record = msgspec.json.decode(found[0], type=MailRecord) if found else None
        if record is not None and record.state == "sent":
            return
        reason = f"Its mail is {record.state!r}." if record else "Sending it has not begun."
        yield messages.late_report(week.monday, due_at, reason, dagster_url=self.dagster_url)

    def stale(self) -> Iterator[Alert]:
        """Yield an alert for each dataset that lacks a session that closed some hours ago."""
        patience = timedelta(hours=self.following.stale_after_hours)
        expected = self.context.calendar.latest_closed(self.now - patience)
        last = self.context.market.last_session
        expected = min(expected, last) if last else expected
        for dataset, table in STATES.items():
            present = read.sessions_present(self.context.store, table)
            newest = max(present, default=None)
            if newest is None or newest < expected:
                yield messages.stale_data(dataset, newest, expected, dagster_url=self.dagster_url)
