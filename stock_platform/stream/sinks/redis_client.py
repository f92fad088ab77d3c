"""A Redis connection that packs its own commands: one syscall for thousands of them.

A client library costs 20-40 us for each SET; the feed needs it in about one.
Only what the sidecar uses is here: a blocking socket, RESP2, bounded waits.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from stock_platform.errors import PermanentError, TransientError

TIMEOUT_S = 5.0
REPLY_BYTES_MAX = 64 * 1024 * 1024

RedisReply = bytes | int | list["RedisReply"] | None


class RedisCommandError(PermanentError):
    """Redis answered with an error; the text begins with Redis's own code."""


class RedisClient:
    """One connection, opened when first needed and again after any failure."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "rediss"
        self._address = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._database = parts.path.strip("/")
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._at = 0

    def command(self, *arguments: bytes | str | int) -> RedisReply:
        """Send one command and return its reply; raise `RedisCommandError` for an error."""
        self.send([packed(*arguments)])
        return self.receive()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send packed commands; their replies are to be received, one each."""
        connection = self._open()
        with self._transient_errors():
            connection.sendall(b"".join(pieces))

    def receive(self) -> RedisReply:
        """Return the next reply."""
        with self._transient_errors():
            reply = self._reply()
        if isinstance(reply, RedisCommandError):
            raise reply
        return reply

    def close(self) -> None:
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self._buffer, self._at = bytearray(), 0

    def _open(self) -> socket.socket:
        if self._socket:
            return self._socket
        with self._transient_errors():
            plain = socket.create_connection(self._address, self._timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if self._tls:
                context = ssl.create_default_context()
                self._socket = context.wrap_socket(plain, server_hostname=self._address[0])
            for greeting in self._greetings():
                self._socket.sendall(greeting)
                reply = self._reply()
                if isinstance(reply, RedisCommandError):
                    self.close()
                    raise reply
        return self._socket

    def _greetings(self) -> list[bytes]:
        greetings = []
        if self._password:
            user = [self._user] if self._user else []
            greetings.append(packed("AUTH", *user, self._password))
        if self._database:
            greetings.append(packed("SELECT", self._database))
        return greetings

    @contextlib.contextmanager
    def _transient_errors(self):
        try:
            yield
        except (OSError, EOFError) as error:
            self.close()
            raise TransientError(f"Redis does not answer: {type(error).__name__}") from error

    def _reply(self) -> "RedisReply | RedisCommandError":
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return RedisCommandError(rest.decode(errors="replace")[:300])
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            replies = [self._reply() for _ in range(int(rest))]
            failed = next(
                (reply for reply in replies if isinstance(reply, RedisCommandError)), None
            )
            return failed or [r for r in replies if not isinstance(r, RedisCommandError)]
        raise EOFError

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._at)) < 0:
            self._fill()
        line = bytes(self._buffer[self._at : end])
        self._at = end + 2
        return line

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count:
            self._fill()
        data = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return data

    def _fill(self) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        if self._socket is None:
            raise EOFError
        data = self._socket.recv(1 << 18)
        if not data or len(self._buffer) > REPLY_BYTES_MAX:
            raise EOFError
        self._buffer += data


def packed(*arguments: bytes | str | int) -> bytes:
    """Return one command in RESP."""
    pieces = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)
