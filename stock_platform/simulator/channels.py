"""The live feed of one session as tables of events, one per channel, in order of time.

Events become JSON text only when their moment comes and only for who asked:
a session of 8,000 symbols would be 800 MB of text at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from stock_platform.simulator.losses import without_drops
from stock_platform.simulator.market import Market
from stock_platform.simulator.script import Feed
from stock_platform.simulator.ticks import quotes_of, trades_of

_UNITS = {"ms": 1_000_000, "us": 1_000, "ns": 1}
EVERY_SYMBOL = "*"
CHANNELS = ("AM", "A", "T", "Q", "FMV")


@dataclass(slots=True)
class Channel:
    """Events of one channel: `at` sorted, and one row of JSON fields for each."""

    at: np.ndarray
    """Microseconds since the epoch at which each event leaves the vendor."""
    fields: pl.DataFrame

    def between(self, first: datetime, end: datetime, symbols: Sequence[str] | None) -> list[str]:
        """Give the events of [first, end) as JSON objects; `symbols` None is every symbol."""
        start, stop = np.searchsorted(self.at, (_us(first), _us(end)))
        if start == stop:
            return []
        rows = self.fields.slice(int(start), int(stop - start))
        if symbols is not None:
            rows = rows.filter(pl.col("sym").is_in(symbols))
        return rows.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


class Channels:
    """Builds the channels of a session on first use and keeps those of the newest session."""

    def __init__(self, market: Market, feed: Feed, seed: int) -> None:
        self._market = market
        self._feed = feed
        self._seed = seed
        self._session: date | None = None
        self._built: dict[str, Channel] = {}

    def get(self, session: date, name: str) -> Channel:
        if session != self._session:
            self._session, self._built = session, {}
        if name not in self._built:
            make = {"AM": self._bars, "A": self._seconds, "T": self._trades, "Q": self._quotes}
            self._built[name] = make.get(name, self._fair_values)(session)
        return self._built[name]

    def _bars(self, session: date) -> Channel:
        messages = self._market.live_bars(session)
        messages = without_drops(messages, self._feed.drops, session, self._seed)
        opening = messages.group_by("symbol").agg(op=pl.col("open").sort_by("minute").first())
        messages = messages.join(opening, on="symbol", maintain_order="left")
        start = pl.col("minute").dt.epoch("ms")
        average = (pl.col("volume") / pl.coalesce("transactions", 1)).ceil().cast(pl.Int64)
        fields = messages.select(
            *self._head("AM"),
            *self._volumes(),
            op="op",
            vw=pl.coalesce("vwap", "close"),
            o="open",
            c="close",
            h="high",
            l="low",
            a="day_vwap",
            z=average,
            s=start,
            e=start + 60_000,
        )
        return Channel(messages["sent_at"].dt.epoch("us").to_numpy(), fields)

    def _seconds(self, session: date) -> Channel:
        """Make second bars of the trades; each leaves two seconds after it ends."""
        trades = trades_of(self._market.minute_bars(session), self._feed.trades_per_minute_max)
        price = pl.col("price")
        seconds = (
            trades.sort("symbol", "sip_ns")
            .group_by("symbol", (pl.col("sip_ns") // 1_000_000_000).alias("second"))
            .agg(
                open=price.first(),
                high=price.max(),
                low=price.min(),
                close=price.last(),
                volume=pl.col("size").sum().round(6),
                trades=pl.len(),
            )
            .sort("second", "symbol")
            .with_columns(
                accumulated=pl.col("volume").cum_sum().over("symbol").round(6),
                op=pl.col("open").first().over("symbol"),
            )
        )
        start = pl.col("second") * 1000
        fields = seconds.select(
            *self._head("A"),
            *self._volumes(),
            op="op",
            vw="close",
            o="open",
            c="close",
            h="high",
            l="low",
            a="close",
            z=(pl.col("volume") / pl.col("trades")).ceil().cast(pl.Int64),
            s=start,
            e=start + 1000,
        )
        return Channel((seconds["second"].to_numpy() + 3) * 1_000_000, fields)

    def _trades(self, session: date) -> Channel:
        rows = trades_of(self._market.minute_bars(session), self._feed.trades_per_minute_max)
        rows = rows.sort("sip_ns", "symbol")
        fields = rows.select(
            *self._head("T"),
            x="exchange",
            i=pl.col("sequence").cast(pl.String),
            z=pl.lit(3),
            p="price",
            s=pl.col("size").floor().cast(pl.Int64),
            ds=_decimal("size"),
            c=pl.concat_list(pl.lit(14), pl.lit(41)),
            t=self._time(),
            q="sequence",
        )
        return Channel(rows["sip_ns"].to_numpy() // 1000, fields)

    def _quotes(self, session: date) -> Channel:
        rows = quotes_of(self._market.minute_bars(session), self._feed.quotes_per_minute_max)
        rows = rows.sort("sip_ns", "symbol")
        fields = rows.select(
            *self._head("Q"),
            bx=pl.lit(4),
            bp="bid",
            bs="bid_size",
            ax=pl.lit(7),
            ap="ask",
            **{"as": pl.col("ask_size")},
            c=pl.lit(0),
            i=pl.concat_list(pl.lit(604)),
            t=self._time(),
            q="sequence",
            z=pl.lit(3),
        )
        return Channel(rows["sip_ns"].to_numpy() // 1000, fields)

    def _fair_values(self, session: date) -> Channel:
        """Make one fair market value a traded minute, at its 59th second."""
        rows = self._market.minute_bars(session).sort("minute", "symbol")
        rows = rows.with_columns(sip_ns=pl.col("minute").dt.epoch("ns") + 59_000_000_000)
        fields = rows.select(
            pl.lit("FMV").alias("ev"),
            pl.coalesce("vwap", "close").alias("fmv"),
            pl.col("symbol").alias("sym"),
            self._time().alias("t"),
        )
        return Channel(rows["sip_ns"].to_numpy() // 1000, fields)

    def _head(self, name: str) -> list[pl.Expr]:
        head = [pl.lit(name).alias("ev"), pl.col("symbol").alias("sym")]
        if self._feed.extra_keys:
            head.append(pl.lit("?").alias("newKey"))
        return head

    def _volumes(self) -> list[pl.Expr]:
        volumes = [_whole("volume").alias("v"), _whole("accumulated").alias("av")]
        if self._feed.decimal_volumes:
            volumes += [_decimal("volume").alias("dv"), _decimal("accumulated").alias("dav")]
        return volumes

    def _time(self) -> pl.Expr:
        return pl.col("sip_ns") // _UNITS[self._feed.time_unit]


def _whole(name: str) -> pl.Expr:
    return pl.col(name).floor().cast(pl.Int64)


def _decimal(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Decimal(18, 6)).cast(pl.String)


def _us(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)
