"""The flat-file bucket: the part of the S3 API that reads, over files made when asked for.

An ETag names the session, dataset and version, not the bytes, so that a listing
of a year costs nothing; the size in a listing is exact once the file has been
read and an estimate before.
"""

import hashlib
import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from email.utils import format_datetime
from xml.sax.saxutils import escape

import polars as pl

from stock_platform.simulator.http import Request, Response, Route, route
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.market import at_new_york
from stock_platform.simulator.scenario import FlatFile, instant_of

BUCKET = "flatfiles"
_DATASETS = ("day_aggs_v1", "minute_aggs_v1")
_PADDED_SINCE = date(2026, 1, 1)
_KEY = re.compile(r"us_stocks_sip/(\w+)/\d{4}/\d\d/(\d{4}-\d\d-\d\d)\.csv\.gz")
_BYTES_MAX = 256_000_000
_BYTES_PER_BAR = 22


@dataclass(slots=True, kw_only=True)
class Bucket:
    """Files of every session whose time of publication has come."""

    as_of: PointInTimeMarket
    changes: Sequence[FlatFile] = ()
    keys: tuple[str, ...] = ()
    _made: dict[tuple[str, date, int], bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def routes(self) -> list[Route]:
        return [
            route(f"/{BUCKET}", self.listing),
            route(f"/{BUCKET}/", self.listing),
            route(f"/{BUCKET}/{{key}}", self.get),
        ]

    def listing(self, request: Request) -> Response:
        """Answer ListObjectsV2: prefix, delimiter, max-keys, continuation-token, start-after."""
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        after = request.query.get("continuation-token") or request.query.get("start-after", "")
        keys = [key for key in self._keys() if key.startswith(prefix)]
        folders = sorted(
            {
                prefix + key[len(prefix) :].split(delimiter, 1)[0] + delimiter
                for key in keys
                if delimiter and delimiter in key[len(prefix) :]
            }
        )
        files = [key for key in keys if not delimiter or delimiter not in key[len(prefix) :]]
        left = [key for key in files if key > after]
        page = left[: int(request.query.get("max-keys", "1000"))]
        cut = len(page) < len(left)
        parts = [f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix>"]
        parts += [f"<KeyCount>{len(page)}</KeyCount><MaxKeys>1000</MaxKeys>"]
        parts += [f"<IsTruncated>{str(cut).lower()}</IsTruncated>"]
        if cut:
            parts.append(f"<NextContinuationToken>{page[-1]}</NextContinuationToken>")
        parts += [self._entry(key) for key in page]
        parts += [
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in folders
        ]
        return _xml("ListBucketResult", "".join(parts))

    def get(self, request: Request, key: str) -> Response:
        """Answer GET (with Range and If-None-Match) and HEAD of one file."""
        found = _KEY.fullmatch(key)
        if not found or key not in set(self._keys()):
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        dataset, session = found[1], date.fromisoformat(found[2])
        change = self._change(session)
        if change.published == "forbidden":
            return _error(403, "AccessDenied", "Access Denied")
        etag = f'"{self._etag(dataset, session, change.version)}"'
        headers = {
            "etag": etag,
            "last-modified": format_datetime(self._modified_at(session, change), usegmt=True),
            "accept-ranges": "bytes",
            "x-amz-meta-entitlement-data-type": "delayed",
        }
        if request.headers.get("if-none-match") == etag:
            return Response(body=b"", status=304, headers=headers, compressible=False)
        body = self._content(dataset, session, change.version)
        if change.truncated:
            body = body[: len(body) // 2]
        status = 200
        requests = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if requests and (requests[1] or requests[2]):
            size = len(body)
            start = int(requests[1]) if requests[1] else max(0, size - int(requests[2]))
            end = min(int(requests[2]), size - 1) if requests[1] and requests[2] else size - 1
            if start >= size:
                return _error(416, "InvalidRange", "The requested range is not satisfiable")
            headers["content-range"] = f"bytes {start}-{end}/{size}"
            body, status = body[start : end + 1], 206
        return Response(
            body=body,
            status=status,
            content_type="application/gzip",
            headers=headers,
            compressible=False,
        )

    def _keys(self) -> list[str]:
        sessions = [day for day in self.as_of.market.sessions if self._is_out(day)]
        return [_key(dataset, session) for dataset in _DATASETS for session in sessions]

    def _is_out(self, session: date) -> bool:
        published = self._change(session).published
        clock = self.as_of.clock
        if published == "early":
            return clock.is_settled(session)
        return published != "no" and clock.is_published(session)

    def _change(self, session: date) -> FlatFile:
        """Return the last change that holds for a session by now, or a plain file."""
        now = self.as_of.clock.now()
        holding = [
            change
            for change in self.changes
            if change.session == session and (not change.since or instant_of(change.since) <= now)
        ]
        return holding[-1] if holding else FlatFile(session=session)

    def _etag(self, dataset: str, session: date, version: int) -> str:
        bars = self.as_of.market
        identity = (dataset, session, version, bars.sessions[0], repr(bars.splits()))
        return hashlib.md5(repr(identity).encode(), usedforsecurity=False).hexdigest()

    def _modified_at(self, session: date, change: FlatFile) -> datetime:
        return at_new_york(session, time(23, min(59, change.version)))

    def _entry(self, key: str) -> str:
        found = _KEY.fullmatch(key)
        if not found:
            return ""
        dataset, session = found[1], date.fromisoformat(found[2])
        change = self._change(session)
        made = self._made.get((dataset, session, change.version))
        bars = self.as_of.market.listings().height * (1 if dataset == "day_aggs_v1" else 260)
        size = len(made) if made else bars * _BYTES_PER_BAR
        etag = self._etag(dataset, session, change.version)
        at = self._modified_at(session, change).isoformat(timespec="seconds")
        return (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )

    def _content(self, dataset: str, session: date, version: int) -> bytes:
        name = (dataset, session, version)
        with self._lock:
            if name not in self._made:
                while sum(map(len, self._made.values())) > _BYTES_MAX:
                    self._made.pop(next(iter(self._made)))
                self._made[name] = flat_file(self.as_of, dataset, session, version)
            return self._made[name]


def flat_file(as_of: PointInTimeMarket, dataset: str, session: date, version: int = 1) -> bytes:
    """Write one session's file: the vendor's column order, nanoseconds, gzip without a date.

    A later version corrects the volume of every thousandth row.
    """
    if dataset == "day_aggs_v1":
        midnight = int(at_new_york(session, time(0)).timestamp()) * 1_000_000_000
        bars = as_of.market.daily_bars(session).with_columns(window_start=pl.lit(midnight))
    else:
        bars = as_of.market.minute_bars(session).with_columns(
            window_start=pl.col("minute").dt.epoch("ns")
        )
    if version > 1:
        corrected = pl.int_range(pl.len()) % 1000 == version - 2
        bars = bars.with_columns(
            volume=pl.col("volume") + pl.when(corrected).then(1.0).otherwise(0)
        )
    whole = bars.select((pl.col("volume") == pl.col("volume").floor()).all()).item()
    volume = pl.col("volume").cast(pl.Int64) if whole else pl.col("volume")
    table = bars.select(
        pl.col("symbol").alias("ticker"),
        volume,
        *(
            _price(name, padded=session >= _PADDED_SINCE)
            for name in ("open", "close", "high", "low")
        ),
        "window_start",
        "transactions",
    )
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(table.write_csv().encode()) + packer.flush()


def _price(name: str, *, padded: bool) -> pl.Expr:
    return pl.col(name).cast(pl.Decimal(18, 6)).cast(pl.String) if padded else pl.col(name)


def accepted(request: Request, keys: tuple[str, ...]) -> Response | None:
    """Return S3's 403 for an unknown access key; the signature itself is taken on trust."""
    signed = request.headers.get("authorization", "") + request.query.get("X-Amz-Credential", "")
    named = re.search(r"(?:Credential=|^)([^/,\s]+)/", signed)
    if named and named[1] in keys:
        return None
    text = "The AWS Access Key Id you provided does not exist in our records."
    return _error(403, "InvalidAccessKeyId", text)


def _key(dataset: str, session: date) -> str:
    return f"us_stocks_sip/{dataset}/{session:%Y/%m}/{session}.csv.gz"


def _error(status: int, code: str, text: str) -> Response:
    body = f"<Code>{code}</Code><Message>{escape(text)}</Message>"
    return _xml("Error", body, status)


def _xml(name: str, body: str, status: int = 200) -> Response:
    namespace = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if name != "Error" else ""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{namespace}>{body}</{name}>'
    return Response(
        body=text.encode(), status=status, content_type="application/xml", compressible=False
    )
