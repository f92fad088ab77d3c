"""The live feed as tables of events, one per channel and quarter of an hour, in order of time.

Events are made a quarter at a time and become JSON text only when their moment
comes and for who asked: a session of 8,000 symbols would be gigabytes at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.simulator.data_loss import without_drops
from stock_platform.simulator.market.market import Market
from stock_platform.simulator.market.ticks import quotes_of, trades_of
from stock_platform.simulator.scenario import Feed

_UNITS = {"ms": 1_000_000, "us": 1_000, "ns": 1}
EVERY_SYMBOL = "*"
CHANNELS = ("AM", "A", "T", "Q", "FMV")
_BLOCK = timedelta(minutes=15)
_BLOCKS_KEPT = 16
_SECONDS_LATE = 2


@dataclass(slots=True)
class Block:
    """Events of one channel over a quarter of an hour."""

    at: np.ndarray
    """Microseconds since the epoch at which each event leaves the vendor, sorted."""
    fields: pl.DataFrame
    """One row per event, its columns the keys of the JSON object; `sym` among them."""

    def between(
        self, first: datetime, end: datetime, symbols: Sequence[str] | None
    ) -> pl.DataFrame:
        """Return the fields of the events of [first, end); `symbols` None is every symbol."""
        start, stop = np.searchsorted(self.at, (_us(first), _us(end)))
        rows = self.fields.slice(int(start), int(stop - start))
        return rows if symbols is None else rows.filter(pl.col("sym").is_in(symbols))


def to_texts(rows: pl.DataFrame) -> list[str]:
    """Write each row as a JSON object."""
    if not rows.height:
        return []
    return rows.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


class Channels:
    """Makes the blocks of a market's channels and keeps the newest few."""

    def __init__(self, market: Market, feed: Feed, seed: int) -> None:
        self._market = market
        self._feed = feed
        self._seed = seed
        self._kept: OrderedDict[tuple[date, str, datetime], Block] = OrderedDict()
        self._opens: tuple[date, pl.DataFrame] | None = None
        self._makers: dict[str, Callable[[date, datetime], Block]] = {
            "AM": self._bars,
            "A": self._seconds,
            "T": self._trades,
            "Q": self._quotes,
            "FMV": self._fair_values,
        }

    def events(
        self,
        session: date,
        name: str,
        span: tuple[datetime, datetime],
        symbols: Sequence[str] | None,
    ) -> pl.DataFrame:
        """Return the events of a channel in a span [first, end) that crosses no quarter hour."""
        first, end = span
        begins = first.astimezone(UTC)
        begins = begins.replace(minute=begins.minute // 15 * 15, second=0, microsecond=0)
        key = (session, name, begins)
        if key not in self._kept:
            self._kept[key] = self._makers[name](session, begins)
            while len(self._kept) > _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        return self._kept[key].between(first, end, symbols)

    def _truth(self, session: date, first: datetime, end: datetime) -> pl.DataFrame:
        bars = self._market.minute_bars(session)
        return bars.filter((pl.col("minute") >= first) & (pl.col("minute") < end))

    def _bars(self, session: date, begins: datetime) -> Block:
        messages = self._market.live_bars(session)
        sent_us = messages["sent_at"].dt.epoch("us").to_numpy()
        first, end = np.searchsorted(sent_us, (_us(begins), _us(begins + _BLOCK)))
        messages = messages.slice(int(first), int(end - first))
        messages = without_drops(messages, self._feed.drops, session, self._seed)
        messages = messages.join(self._openings(session), on="symbol", maintain_order="left")
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
        return Block(messages["sent_at"].dt.epoch("us").to_numpy(), fields)

    def _openings(self, session: date) -> pl.DataFrame:
        if self._opens is None or self._opens[0] != session:
            bars = self._market.minute_bars(session)
            first = bars.group_by("symbol", maintain_order=True).agg(op=pl.col("open").first())
            self._opens = (session, first)
        return self._opens[1]

    def _seconds(self, session: date, begins: datetime) -> Block:
        """Make second bars of the trades; each leaves two seconds after it ends."""
        bars = self._truth(session, begins - timedelta(minutes=1), begins + _BLOCK)
        trades = trades_of(bars, self._feed.trades_per_minute_max)
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
            .with_columns(
                accumulated=pl.col("volume").cum_sum().over("symbol", order_by="second").round(6)
            )
            .with_columns(at=pl.col("second") + 1 + _SECONDS_LATE)
            .filter(pl.col("at").is_between(*_seconds_of(begins), closed="left"))
            .join(self._openings(session), on="symbol")
            .sort("second", "symbol")
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
        return Block(seconds["at"].to_numpy() * 1_000_000, fields)

    def _trades(self, session: date, begins: datetime) -> Block:
        bars = self._truth(session, begins, begins + _BLOCK)
        rows = trades_of(bars, self._feed.trades_per_minute_max).sort("sip_ns", "symbol")
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
        return Block(rows["sip_ns"].to_numpy() // 1000, fields)

    def _quotes(self, session: date, begins: datetime) -> Block:
        bars = self._truth(session, begins, begins + _BLOCK)
        rows = quotes_of(bars, self._feed.quotes_per_minute_max).sort("sip_ns", "symbol")
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
        return Block(rows["sip_ns"].to_numpy() // 1000, fields)

    def _fair_values(self, session: date, begins: datetime) -> Block:
        """Make one fair market value a traded minute, at its 59th second."""
        rows = self._truth(session, begins, begins + _BLOCK).sort("minute", "symbol")
        rows = rows.with_columns(sip_ns=pl.col("minute").dt.epoch("ns") + 59_000_000_000)
        fields = rows.select(
            pl.lit("FMV").alias("ev"),
            pl.coalesce("vwap", "close").alias("fmv"),
            pl.col("symbol").alias("sym"),
            self._time().alias("t"),
        )
        return Block(rows["sip_ns"].to_numpy() // 1000, fields)

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


def _seconds_of(begins: datetime) -> tuple[int, int]:
    return int(begins.timestamp()), int((begins + _BLOCK).timestamp())


def _whole(name: str) -> pl.Expr:
    return pl.col(name).floor().cast(pl.Int64)


def _decimal(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Decimal(18, 6)).cast(pl.String)


def _us(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)
