"""Raw events as archive lines: byte for byte as they came, with `ingestTs` added. Pure."""

from collections.abc import Iterable

import msgspec

from stock_platform.stream.events import name_of

CHANNELS = ("AM", "FMV", "T", "Q")
OTHER = "OTHER"
"""Events of an `ev` that was not subscribed."""
REJECTED = "REJECTED"
"""What is no event, with the reason: kept and counted, never dropped."""
REJECTED_BYTES_MAX = 65_536
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
# Only the two busy channels are recognised by their first bytes. In valid JSON an object that
# begins so has this `ev`; every other beginning is decoded by name.
_QUOTE, _TRADE = b'{"ev":"Q"', b'{"ev":"T"'
_HEAD = 9


class Lines:
    """Collects lines by channel until `drain`."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._texts: dict[str, list[bytes]] = {}

    def add(self, frames: Iterable[bytes], ingest_ms: int) -> None:
        """Add the frames of one record."""
        # Lines without their last brace: what comes instead is the same for the whole record.
        quotes: list[bytes] = []
        trades: list[bytes] = []
        others: dict[str, list[bytes]] = {}
        for frame in frames:
            try:
                raws = _RAWS.decode(frame)
                if not frame.isascii():
                    frame.decode()
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self._reject(str(error), frame, ingest_ms)
                continue
            odd = b"\n" in frame or b"\r" in frame
            for raw in raws:
                line = bytes(raw)
                if odd:
                    line = msgspec.json.format(line, indent=-1)
                head = line[:_HEAD]
                if head == _QUOTE:
                    quotes.append(line[:-1])
                elif head == _TRADE:
                    trades.append(line[:-1])
                elif (channel := self._channel(raw, ingest_ms)) is not None:
                    others.setdefault(channel, []).append(line[:-1])
        tail = b',"ingestTs":%d}\n' % ingest_ms
        for channel, lines in [("Q", quotes), ("T", trades), *others.items()]:
            if lines:
                self._keep(channel, tail.join(lines) + tail, len(lines))

    def drain(self) -> dict[str, bytes]:
        """Return each channel's lines as one text, once."""
        drained = {channel: b"".join(texts) for channel, texts in self._texts.items()}
        self._texts = {}
        return drained

    def _keep(self, channel: str, text: bytes, count: int) -> None:
        self._texts.setdefault(channel, []).append(text)
        self.counts[channel] = self.counts.get(channel, 0) + count

    def _channel(self, raw: msgspec.Raw, ingest_ms: int) -> str | None:
        name = name_of(raw)
        if name is None:
            self._reject("not an object with an ev", bytes(raw), ingest_ms)
            return None
        if name == "status":
            return None
        return name if name in CHANNELS else OTHER

    def _reject(self, reason: str, record: bytes, ingest_ms: int) -> None:
        text = record[:REJECTED_BYTES_MAX].decode(errors="backslashreplace")
        line = msgspec.json.encode({"reason": reason, "record": text, "ingestTs": ingest_ms})
        self._keep(REJECTED, line + b"\n", 1)


def without_ingest_time(line: bytes) -> bytes:
    """Return an archive line as the event the feed sent."""
    at = line.rfind(b',"ingestTs":')
    if at < 0 or not line.rstrip().endswith(b"}") or not line[at + 12 :].strip(b"}\r\n ").isdigit():
        return line.rstrip()
    return line[:at] + b"}"
