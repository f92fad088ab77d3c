"""The weekly report: what happened to the watchlist, and how complete the data behind it is."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from stock_platform.indicators.splits import adjust
from stock_platform.indicators.weekly import Week, best_and_worst
from stock_platform.serving.report.charts import candlesticks, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Counts of the week's expected symbol-minutes, by state."""

    expected: int
    observed: int
    empty: int = 0
    silent: int = 0
    missing: int = 0
    refused: int = 0

    @property
    def percent(self) -> str:
        """The share that is not missing; only what is complete is called 100%."""
        if self.missing + self.refused == 0:
            return "100%"
        share = 1 - (self.missing + self.refused) / max(self.expected, 1)
        return f"{int(share * 10_000) / 100:.2f}%"

    @property
    def sentence(self) -> str:
        if not self.expected:
            return "No minutes were expected of these symbols this week."
        known = [
            f"{count:,} {word}"
            for count, word in (
                (self.observed, "observed"),
                (self.empty, "proven empty"),
                (self.silent, "silent while the feed was alive"),
                (self.missing, "missing"),
                (self.refused, "refused by the provider"),
            )
            if count
        ]
        return (
            f"{self.percent} of the {self.expected:,} expected minutes are accounted for: "
            f"{', '.join(known)}."
        )


@dataclass(frozen=True, kw_only=True)
class WeeklyReport:
    """Everything a rendering needs. `charts` are PNGs by symbol, in the order to be shown."""

    week: Week
    performance: pl.DataFrame
    coverage: Coverage | None = None
    charts: dict[str, bytes] = field(default_factory=dict)
    rows_max: int = 100

    @property
    def subject(self) -> str:
        movers = best_and_worst(self.performance)
        if movers is None:
            nothing = "no symbols" if not self.performance.height else "no data"
            return f"Weekly Market Report - {nothing} for the week of {self.week.monday}"
        best, worst = movers
        return (
            f"Weekly Market Report - Best: {best.symbol}: {percent(best.return_pct, sign='-')} | "
            f"Worst: {worst.symbol}: {percent(worst.return_pct, sign='-')}"
        )

    @cached_property
    def rendered(self) -> "Rendered":
        """Subject, HTML and text, rendered once for the mail, the page and the terminal."""
        return render(self)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A report as text; the HTML shows each chart as `cid:` and its `chart_id`."""

    subject: str
    html: str
    text: str


def build_report(
    week: Week,
    performance: pl.DataFrame,
    bars: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    coverage: Coverage | None = None,
    charts_max: int = 20,
    rows_max: int = 100,
) -> WeeklyReport:
    """Draw the charts of the week's movers from raw daily `bars` up to the week's last session.

    With more symbols than `charts_max` those that moved most are drawn.
    """
    known = performance.drop_nulls("return_pct")
    by_move = known.sort([pl.col("return_pct").abs(), "symbol"], descending=[True, False])
    chosen = sorted(by_move["symbol"].head(charts_max).to_list())
    recent = bars.filter(pl.col("symbol").is_in(chosen) & (pl.col("session") <= week.last))
    adjusted = adjust(recent, splits, as_of=week.last)
    drawn = {
        symbol: candlesticks(adjusted.filter(pl.col("symbol") == symbol), symbol)
        for symbol in chosen
    }
    return WeeklyReport(
        week=week, performance=performance, coverage=coverage, charts=drawn, rows_max=rows_max
    )


def render(report: WeeklyReport) -> Rendered:
    """Render subject, HTML and plain text; `WeeklyReport.rendered` keeps the result."""
    rows = _rows(report.performance)
    facts = {
        "subject": report.subject,
        "week": report.week,
        "dates": _dates(report.week.sessions),
        "movers": best_and_worst(report.performance),
        "rows": rows[: report.rows_max],
        "rows_left_out": max(0, len(rows) - report.rows_max),
        "coverage": report.coverage,
        "charts": {symbol: f"cid:{chart_id(report, symbol)}" for symbol in report.charts},
        "percent": percent,
    }
    page = _environment()
    return Rendered(
        report.subject,
        page.get_template("weekly.html.j2").render(facts),
        page.get_template("weekly.txt.j2").render(facts),
    )


def preview(report: WeeklyReport, out_path: Path) -> Path:
    """Write the report as one HTML file that needs nothing else, pictures included."""
    out_path.parent.mkdir(parents=True, exist_ok=True)
    out_path.write_text(self_contained(report), encoding="utf-8")
    return out_path


def self_contained(report: WeeklyReport) -> str:
    """Return the report's HTML with the charts inside it."""
    page = report.rendered.html
    for symbol, png in report.charts.items():
        inline = "data:image/png;base64," + base64.b64encode(png).decode()
        page = page.replace(f"cid:{chart_id(report, symbol)}", inline)
    return page


def chart_id(report: WeeklyReport, symbol: str) -> str:
    """Return the Content-ID of a symbol's chart, the same in every rendering of the week."""
    return f"chart-{list(report.charts).index(symbol)}-{report.week.monday}@weekly-report"


def percent(value: float | None, *, sign: str = "+") -> str:
    """Write a percentage with one decimal; `sign` "-" leaves out the plus, never "-0.0%"."""
    if value is None:
        return "-"
    rounded = round(value, 1) or 0.0
    return f"{rounded:{sign}.1f}%"


def _rows(performance: pl.DataFrame) -> list[dict[str, object]]:
    """Return the table: best first, symbols without data last."""
    ordered = performance.sort(["return_pct", "symbol"], descending=[True, False], nulls_last=True)
    return [
        {**row, "volume_text": short(row["volume"]) if row["volume"] is not None else "-"}
        for row in ordered.iter_rows(named=True)
    ]


def _dates(sessions: Sequence[date]) -> str:
    """Write "Nov 16-20, 2026"; over a month's end "Nov 30 - Dec 4, 2026"."""
    if not sessions:
        return "the exchange was closed"
    first, last = sessions[0], sessions[-1]
    if first == last:
        return f"{first:%b} {first.day}, {first.year}"
    if first.month == last.month:
        return f"{first:%b} {first.day}-{last.day}, {last.year}"
    year = "" if first.year == last.year else f", {first.year}"
    return f"{first:%b} {first.day}{year} - {last:%b} {last.day}, {last.year}"


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("stock_platform.serving.report", "templates"),
        autoescape=select_autoescape(["html", "html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
