"""The securities of the synthetic market and what each is like to trade."""

from dataclasses import dataclass
from datetime import date

import numpy as np

WELL_KNOWN = [
    "GOOG", "MSFT", "NVDA", "QUBT", "RKLB", "AAPL", "SPY", "QQQ", "TSLA", "AMZN",
    "META", "AMD", "INTC", "PLTR", "F", "T", "BAC", "KO", "IBM", "GE",
]  # fmt: skip
"""Come first and trade every minute."""

AWKWARD = ("BRK.B", "BF/B", "BCpA", "NA", "NAN", "NULL", "TRUE")
"""Real spellings that break parsers: dots, slashes, lower case, words that look like no value."""

# Log-normal trades per minute: with these, about 79 % of symbol-days lack some minute.
_RATE_MEDIAN = 1.4
_RATE_SIGMA = 2.2
_LIQUID = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Arrays over symbols in sorted order."""

    symbols: np.ndarray
    rate: np.ndarray
    """Trades per minute of a normal day."""
    price: np.ndarray
    volatility: np.ndarray
    """Standard deviation of the log price over one traded minute."""
    lot: np.ndarray
    """Typical shares per trade."""
    phase: np.ndarray
    """Three phases of the slow waves its price level rides on."""

    def level(self, session: date) -> np.ndarray:
        """Return each symbol's price level on a day: a function of the date alone."""
        day = session.toordinal()
        waves = sum(
            size * np.sin(2 * np.pi * day / period + self.phase[:, n])
            for n, (size, period) in enumerate(((0.25, 731.0), (0.1, 97.0), (0.04, 23.0)))
        )
        return self.price * np.exp(waves)


def make_universe(seed: int, symbols: int | tuple[str, ...]) -> Universe:
    """Draw a universe; a symbol's nature depends on the seed and on the list it is in."""
    rng = np.random.default_rng([seed, 0x5EED])
    wanted = list(symbols) if isinstance(symbols, tuple) else _names(rng, symbols)
    names = np.array(sorted(set(wanted)), dtype=object)
    size = len(names)
    rate = np.exp(rng.normal(np.log(_RATE_MEDIAN), _RATE_SIGMA, size)).clip(0.01, 400.0)
    known = np.isin(names, WELL_KNOWN)
    rate[known] = np.maximum(rate[known], _LIQUID)
    price = np.exp(rng.normal(3.4, 1.0, size)).clip(1.5, 900.0)
    volatility = np.exp(rng.normal(-7.3, 0.4, size))
    lot = np.exp(rng.normal(4.0, 0.6, size))
    return Universe(
        symbols=names,
        rate=rate,
        price=price,
        volatility=volatility,
        lot=lot,
        phase=rng.uniform(0, 2 * np.pi, (size, 3)),
    )


def _names(rng: np.random.Generator, count: int) -> list[str]:
    names = dict.fromkeys([*WELL_KNOWN[:5], *AWKWARD, *WELL_KNOWN[5:]])
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    while len(names) < count:
        drawn = rng.integers(0, 26, (count, 4))
        lengths = rng.choice([3, 4], count, p=[0.35, 0.65])
        words = ("".join(letters[row[:n]]) for row, n in zip(drawn, lengths, strict=True))
        names.update(dict.fromkeys(words))
    return list(names)[:count]
