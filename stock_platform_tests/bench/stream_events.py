"""The events of the load: 80% quotes, 18% trades, 2% minute bars, as the vendor writes them."""

import json
import random
import time
from typing import Any

BASE_MS = 1_795_276_800_000
PROBES = 100


def make_frames(per_frame: int, events: int, symbols: int, skew: float = 0.0) -> list[bytes]:
    """Build frames of `per_frame` events, a symbol of rank r drawn in proportion to r ** -skew.

    0 draws evenly, the worst case for conflation; 0.8 gives the busiest 100 of 8,000 a
    third of all events, which is nearer to a market.
    """
    names = [f"S{number:04d}" for number in range(symbols)]
    weights = [(1 + rank) ** -skew for rank in range(symbols)]
    drawn = random.choices(names, weights, k=events)
    made = [_event(number, symbol) for number, symbol in enumerate(drawn)]
    return [
        b"[" + b",".join(made[at : at + per_frame]) + b"]" for at in range(0, events, per_frame)
    ]


def probe(which: int, number: int) -> bytes:
    """Build a trade stamped now, by which the delay to Redis is measured."""
    now = time.time_ns() // 1_000_000
    return b'[{"ev":"T","sym":"PROBE%d","x":4,"i":"1","z":3,"p":1.5,"s":100,"t":%d,"q":%d}]' % (
        which,
        now,
        number,
    )


def _event(number: int, symbol: str) -> bytes:
    chance = random.random()
    event: dict[str, Any]
    if chance < 0.80:
        bid = round(random.uniform(5, 900), 2)
        event = {"ev": "Q", "sym": symbol, "bx": 4, "bp": bid, "bs": 100, "ax": 7}
        event |= {"ap": round(bid + 0.02, 2), "as": 160, "c": 0, "i": [604]}
        event |= {"t": BASE_MS, "q": 50_385_480, "z": 3}
    elif chance < 0.98:
        event = {"ev": "T", "sym": symbol, "x": 4, "i": str(number), "z": 3}
        event |= {"p": round(random.uniform(5, 900), 4), "s": 100, "c": [0, 12]}
        event |= {"t": BASE_MS, "q": 3_681_328}
    else:
        price = round(random.uniform(5, 900), 2)
        event = {"ev": "AM", "sym": symbol, "v": 4110, "dv": "4110.0", "av": 9470157, "op": price}
        event |= {"vw": price, "o": price, "c": price, "h": price, "l": price, "a": price, "z": 68}
        event |= {"s": BASE_MS, "e": BASE_MS + 60_000}
    return json.dumps(event, separators=(",", ":")).encode()
