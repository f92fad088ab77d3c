"""Where newest values go: Redis over its own protocol, or Upstash over REST.

Both set a whole flush through one small script that first checks that this
sidecar still holds the lease: a paused process that wakes up after its lease
went to another one changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import httpx2
import msgspec

from stock_platform.errors import PermanentError, TransientError
from stock_platform.stream.sinks.conflation import Update
from stock_platform.stream.sinks.redis_client import RedisClient, RedisCommandError, RedisReply

CHUNK_KEYS = 500
"""Keys of one script call: below a millisecond in which Redis serves no other client."""
UPSTASH_CHUNK_KEYS = 200
UPSTASH_TIMEOUT_S = 10.0
_STEP = """
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local call, ttl = redis.call, ARGV[2]
for i = 2, #KEYS do
  call('SET', KEYS[i], ARGV[i + 1], 'EX', ttl)
"""
SET_ALL = _STEP + "end return 1"
SET_AND_PUBLISH = _STEP + "call('PUBLISH', KEYS[i], ARGV[i + 1]) end return 1"


class LeaseLostError(PermanentError):
    """Another sidecar holds the lease now; this one must not write."""


class ValueStore(Protocol):
    """A Redis, over its own protocol or over REST."""

    def command(self, *arguments: bytes | str | int) -> RedisReply: ...

    def put(self, updates: Sequence[Update], lease: tuple[str, str]) -> None:
        """Set all values while the lease key holds the fence; raise `LeaseLostError` otherwise.

        `lease` is the key and the fence; an empty fence is not checked.
        """
        ...

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def close(self) -> None: ...


def open_value_store(url: str, token: str = "", *, publish: bool = False) -> ValueStore:
    """Open the store of newest values: Redis, or Upstash for an `https://` URL."""
    script = SET_AND_PUBLISH if publish else SET_ALL
    if url.startswith(("http://", "https://")):
        return UpstashStore(url, token, script)
    return RedisStore(RedisClient(url), script)


class RedisStore:
    """Over one raw connection; the replies of one flush are read before the next."""

    def __init__(self, link: RedisClient, script: str) -> None:
        self._link = link
        self._script = script
        self._sha = b""

    def command(self, *arguments: bytes | str | int) -> RedisReply:
        return self._link.command(*arguments)

    def put(self, updates: Sequence[Update], lease: tuple[str, str]) -> None:
        if not self._sha:
            self._load()
        chunks = list(_chunks(updates, CHUNK_KEYS))
        self._link.send(self._call(chunk, lease) for chunk in chunks)
        # Every reply is read before anything is raised, or the next flush would read ours.
        replies = [self._receive() for _ in chunks]
        for reply in replies:
            if isinstance(reply, RedisCommandError):
                self._sha = b""
                raise TransientError(f"Redis refused to set values: {reply}") from reply
            if reply == 0:
                raise LeaseLostError("the lease belongs to another sidecar")

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for at in range(0, len(keys), CHUNK_KEYS):
            reply = self._link.command("MGET", *keys[at : at + CHUNK_KEYS])
            found += [value if isinstance(value, bytes) else None for value in _many(reply)]
        return found

    def close(self) -> None:
        self._link.close()

    def _load(self) -> None:
        reply = self._link.command("SCRIPT", "LOAD", self._script)
        self._sha = reply if isinstance(reply, bytes) else b""

    def _receive(self) -> RedisReply | RedisCommandError:
        try:
            return self._link.receive()
        except RedisCommandError as error:
            return error

    def _call(self, chunk: Update, lease: tuple[str, str]) -> bytes:
        keys = 1 + len(chunk.keys)
        pieces = [b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (4 + 2 * keys, self._sha)]
        pieces += [_bulk(b"%d" % keys), _bulk(lease[0].encode())]
        pieces += [b"$%d\r\n%b\r\n" % (len(key), key) for key in chunk.keys]
        pieces += [_bulk(lease[1].encode()), _bulk(b"%d" % chunk.ttl_s)]
        pieces += [b"$%d\r\n%b\r\n" % (len(value), value) for value in chunk.values]
        return b"".join(pieces)


class UpstashStore:
    """Upstash's REST protocol: commands as JSON arrays, the token in a header."""

    def __init__(self, url: str, token: str, script: str) -> None:
        self._script = script
        self._http = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=UPSTASH_TIMEOUT_S,
        )

    def command(self, *arguments: bytes | str | int) -> RedisReply:
        return self._post("/", [_text(argument) for argument in arguments])

    def put(self, updates: Sequence[Update], lease: tuple[str, str]) -> None:
        calls = []
        for chunk in _chunks(updates, UPSTASH_CHUNK_KEYS):
            keys = [lease[0], *(key.decode() for key in chunk.keys)]
            arguments = [lease[1], str(chunk.ttl_s), *(value.decode() for value in chunk.values)]
            calls.append(["EVAL", self._script, str(len(keys)), *keys, *arguments])
        if 0 in _many(self._post("/pipeline", calls)):
            raise LeaseLostError("the lease belongs to another sidecar")

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for at in range(0, len(keys), UPSTASH_CHUNK_KEYS):
            reply = self.command("MGET", *keys[at : at + UPSTASH_CHUNK_KEYS])
            found += [value if isinstance(value, bytes) else None for value in _many(reply)]
        return found

    def close(self) -> None:
        self._http.close()

    def _post(self, path: str, body: object) -> RedisReply:
        try:
            response = self._http.post(path, content=msgspec.json.encode(body))
        except httpx2.HTTPError as error:
            raise TransientError(f"Upstash does not answer: {type(error).__name__}") from error
        if response.status_code in {401, 403}:
            raise PermanentError("Upstash does not accept REDIS_TOKEN")
        if response.status_code >= 500 or response.status_code == 429:
            raise TransientError(f"Upstash answered {response.status_code}")
        try:
            answer = msgspec.json.decode(response.content)
        except msgspec.MsgspecError as error:
            raise TransientError(f"Upstash answered {response.status_code} and no JSON") from error
        return _result(answer)


def _chunks(updates: Sequence[Update], keys_max: int) -> Iterator[Update]:
    for update in updates:
        for at in range(0, len(update.keys), keys_max):
            end = at + keys_max
            yield Update(update.ttl_s, update.keys[at:end], update.values[at:end])


def _result(answer: object) -> RedisReply:
    if isinstance(answer, list):
        return [_result(item) for item in answer]
    if not isinstance(answer, dict) or "error" in answer:
        text = answer.get("error") if isinstance(answer, dict) else "no result"
        raise RedisCommandError(str(text)[:300])
    return _value(answer.get("result"))


def _value(value: object) -> RedisReply:
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value.encode() if isinstance(value, str) else value if isinstance(value, int) else None


def _many(reply: RedisReply) -> list[RedisReply]:
    return reply if isinstance(reply, list) else [reply]


def _text(argument: bytes | str | int) -> str:
    return argument.decode() if isinstance(argument, bytes) else str(argument)


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)
