"""A coverage heat map, drawn once per session: symbols down, minutes across."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.sessions import NEW_YORK

BYTES_MAX = 32_000
"""It lives in the event log for ever."""

COLOURS = {
    "observed": (46, 125, 90),
    "healed": (0, 172, 193),
    "empty": (207, 216, 220),
    "silent": (144, 164, 174),
    "missing": (229, 57, 53),
    "refused": (142, 36, 170),
    "not expected": (245, 245, 245),
}
_STATES = tuple(COLOURS)
_ROWS_MAX, _WIDTH, _HEIGHT, _MARGIN = 96, 780, 240, 44


def heat_map(coverage: SessionCoverage, due: int | None = None) -> bytes:
    """Draw coverage as a PNG below `BYTES_MAX`.

    Neighbouring symbols share a row where there are more than fit; a row shows
    the worst state among them (missing before silent before observed), because a
    gap must not disappear in a crowd.
    """
    states = _states(coverage, due)
    rows = np.array_split(np.arange(len(states)), min(len(states), _ROWS_MAX) or 1)
    worst = np.stack([_worst(states[part]) if len(part) else _blank(coverage) for part in rows])
    palette = np.array([COLOURS[name] for name in _STATES], dtype=np.uint8)
    body = Image.fromarray(palette[worst]).resize((_WIDTH, _HEIGHT), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (_WIDTH + 16, _HEIGHT + _MARGIN), "white")
    canvas.paste(body, (8, 20))
    _write_legend(canvas, coverage)
    out = io.BytesIO()
    canvas.quantize(16).save(out, "PNG", optimize=True)
    return out.getvalue()


def as_markdown(png: bytes, title: str) -> str:
    """Put a picture into Markdown, as the Dagster UI shows it on an asset's page."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _states(coverage: SessionCoverage, due: int | None) -> np.ndarray:
    """Return the index into `_STATES` of every symbol and slot."""
    missing = coverage.missing(due)
    expected = (
        missing | coverage.bits["observed"] | coverage.bits["empty"] | coverage.bits["silent"]
    )
    slots = np.arange(coverage.grid.width)
    end = coverage.grid.end if due is None else min(due, coverage.grid.end)
    expected &= (slots >= coverage.grid.first) & (slots < end)
    states = np.full(expected.shape, _STATES.index("not expected"), dtype=np.uint8)
    for name in ("silent", "empty", "observed", "healed"):
        states[coverage.bits[name] & expected] = _STATES.index(name)
    states[missing] = _STATES.index("missing")
    states[missing & coverage.bits["refused"]] = _STATES.index("refused")
    return states


def _worst(states: np.ndarray) -> np.ndarray:
    # Index order of `_STATES` is the order of concern, but "not expected" counts least.
    rank = np.array([1, 2, 3, 4, 5, 6, 0], dtype=np.uint8)
    busy = rank[states]
    missing = busy.max(axis=0) >= 5
    # Where nothing is wrong, show what most of them are rather than the rarest state.
    usual = np.array([np.bincount(column, minlength=7).argmax() for column in states.T])
    worst = np.argsort(rank)[busy.max(axis=0)]
    return np.where(missing, worst, usual).astype(np.uint8)


def _blank(coverage: SessionCoverage) -> np.ndarray:
    return np.full(coverage.grid.width, _STATES.index("not expected"), dtype=np.uint8)


def _write_legend(canvas: Image.Image, coverage: SessionCoverage) -> None:
    draw = ImageDraw.Draw(canvas)
    grid = coverage.grid
    title = f"{grid.session}   {len(coverage.symbols):,} symbols x {grid.expected} minutes"
    draw.text((8, 4), title, fill="black")
    left = 8
    for name in _STATES[:-1]:
        draw.rectangle((left, _HEIGHT + 27, left + 10, _HEIGHT + 37), fill=COLOURS[name])
        draw.text((left + 14, _HEIGHT + 26), name, fill="black")
        left += 30 + 7 * len(name)
    start = grid.minute(0).astimezone(NEW_YORK)
    end = grid.minute(grid.width).astimezone(NEW_YORK)
    label = f"{start:%H:%M} - {end:%H:%M} New York"
    draw.text((_WIDTH - 130, 4), label, fill="black")
