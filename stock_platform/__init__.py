"""A provably complete lake of US stock data.

    import stock_platform as sp

    lake = sp.open_lake("./data")
    lake.minute_bars("2026-11-20", symbols=["AAPL"], adjusted=True)

Every name is imported on first use, so that `import stock_platform` itself is fast.
`docs/api.md` lists them with an example each.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stock_platform.api.corrections import Corrections
    from stock_platform.api.frames import HealOutcome
    from stock_platform.api.lake import Lake, open_lake
    from stock_platform.domain.sessions import Calendar
    from stock_platform.errors import (
        InvalidDataError,
        NotEntitledError,
        PermanentError,
        PlatformError,
        TransientError,
    )
    from stock_platform.indicators.by_name import compute_indicators
    from stock_platform.indicators.declare import indicator
    from stock_platform.lake.inspection import Defect
    from stock_platform.pipelines.verify.certificate import Certificate
    from stock_platform.providers.sources import (
        DailySource,
        MinuteBarSource,
        QuoteSource,
        ReferenceSource,
        SessionSource,
    )
    from stock_platform.stream.journal.consumer import Sink

    __version__: str

__all__ = [
    "Calendar",
    "Certificate",
    "Corrections",
    "DailySource",
    "Defect",
    "HealOutcome",
    "InvalidDataError",
    "Lake",
    "MinuteBarSource",
    "NotEntitledError",
    "PermanentError",
    "PlatformError",
    "QuoteSource",
    "ReferenceSource",
    "SessionSource",
    "Sink",
    "TransientError",
    "__version__",
    "compute_indicators",
    "indicator",
    "open_lake",
]

_HOMES = {
    "stock_platform.api.corrections": ("Corrections",),
    "stock_platform.api.frames": ("HealOutcome",),
    "stock_platform.api.lake": ("Lake", "open_lake"),
    "stock_platform.domain.sessions": ("Calendar",),
    "stock_platform.errors": (
        "InvalidDataError",
        "NotEntitledError",
        "PermanentError",
        "PlatformError",
        "TransientError",
    ),
    "stock_platform.indicators.by_name": ("compute_indicators",),
    "stock_platform.indicators.declare": ("indicator",),
    "stock_platform.lake.inspection": ("Defect",),
    "stock_platform.pipelines.verify.certificate": ("Certificate",),
    "stock_platform.providers.sources": (
        "DailySource",
        "MinuteBarSource",
        "QuoteSource",
        "ReferenceSource",
        "SessionSource",
    ),
    "stock_platform.stream.journal.consumer": ("Sink",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    # Hidden from type checkers, which would accept any name because of it.
    def __getattr__(name: str) -> object:
        if name == "__version__":
            found = import_module("importlib.metadata").version("stock-platform")
        elif name in _HOME:
            found = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found
