"""Candlestick charts small enough for a mail and readable on a phone.

The background is transparent and every colour stands out from white and from
black alike, because a mail client may show the same picture on either.
"""

from io import BytesIO

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

SESSIONS = 30

RISE, FALL, TEXT, GRID = "#159a63", "#e0524a", "#7b838d", "#7b838d"
_INCHES, _DPI = (5.4, 3.2), 200
_COLOURS = 24
"""Palette of the file: a chart of five hues and their edges in a quarter of the bytes."""


def candlesticks(bars: pl.DataFrame, symbol: str) -> bytes:
    """Draw the last 30 sessions of adjusted daily bars with their volume; return a PNG.

    `bars` has session, open, high, low, close and volume of one symbol, in any
    order; without any the picture has a line of text instead.
    """
    shown = bars.sort("session").tail(SESSIONS)
    figure = Figure(figsize=_INCHES, dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    prices, volumes = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3.4, 1.0], "hspace": 0.08}
    )
    figure.subplots_adjust(left=0.01, right=0.855, top=0.98, bottom=0.115)
    for axes in (prices, volumes):
        _plain(axes)
    if shown.height:
        _draw(prices, volumes, shown)
    else:
        prices.text(0.5, 0.5, f"no bars of {symbol}", color=TEXT, ha="center", va="center")
    return _to_png(figure)


def _draw(prices: Axes, volumes: Axes, shown: pl.DataFrame) -> None:
    numbers = {
        name: shown[name].cast(pl.Float64).to_numpy()
        for name in ("open", "high", "low", "close", "volume")
    }
    at = np.arange(shown.height)
    colours = np.where(numbers["close"] >= numbers["open"], RISE, FALL)
    bottom = np.minimum(numbers["open"], numbers["close"])
    span = float(numbers["high"].max() - numbers["low"].min()) or 1.0
    # A session that closes where it opened is still a line one can see.
    body = np.maximum(np.abs(numbers["close"] - numbers["open"]), span * 0.004)
    prices.vlines(at, numbers["low"], numbers["high"], colors=list(colours), linewidth=1.1)
    prices.bar(at, body, 0.68, bottom, color=list(colours))
    volumes.bar(at, numbers["volume"], 0.68, color=list(colours), alpha=0.75)
    last = numbers["close"][-1]
    prices.axhline(last, color=TEXT, linewidth=0.7, linestyle=(0, (2, 3)))
    prices.margins(y=0.06)
    prices.set_xlim(-0.9, shown.height - 0.1)
    prices.yaxis.set_major_formatter(lambda value, _: f"{value:,.{_decimals(span)}f}")
    volumes.yaxis.set_major_formatter(lambda value, _: short(value))
    volumes.set_ylim(0, float(numbers["volume"].max()) * 1.08 or 1.0)
    volumes.set_yticks([float(numbers["volume"].max()) or 1.0])
    ticks = np.unique(np.linspace(0, shown.height - 1, 4).round().astype(int))
    days = shown["session"].to_list()
    volumes.set_xticks(ticks, [f"{days[n]:%b} {days[n].day}" for n in ticks])
    volumes.get_xticklabels()[0].set_horizontalalignment("left")


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.yaxis.tick_right()
    axes.tick_params(length=0, labelsize=11.5, labelcolor=TEXT, pad=3)
    axes.grid(axis="y", color=GRID, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xticks([])


def _decimals(span: float) -> int:
    """Choose as many decimals as tell the ticks of an axis apart."""
    return 0 if span >= 20 else 2 if span >= 0.1 else 4


def short(amount: float) -> str:
    """Write an amount in four or five characters: 950, 12.3K, 4.1M, 2.0B."""
    for bound, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if amount >= bound:
            return f"{amount / bound:.1f}{unit}"
    return f"{amount:.0f}"


def _to_png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", transparent=True)
    drawn.seek(0)
    small = Image.open(drawn).quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
    packed = BytesIO()
    small.save(packed, format="png", optimize=True)
    return packed.getvalue()
