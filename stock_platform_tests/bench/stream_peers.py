"""What the sidecar is measured beside: each peer a process that counts what it received."""

import asyncio
import json
import multiprocessing
import resource
import threading
import time
from typing import Any

JOURNAL_BYTES_MAX = 1 << 32
"""Nobody reads behind these peers, so what they wrote is given up as it is in operation."""
_SPAWN = multiprocessing.get_context("spawn")


def measure(peer: str, host: str, seconds: float, extra: dict[str, Any]) -> tuple[float, float]:
    """Give (events a second, CPU seconds per million events) of one peer."""
    shared = _SPAWN.Array("d", 4)
    process = _SPAWN.Process(target=_run, args=(peer, host, extra, shared), daemon=True)
    process.start()
    deadline = time.monotonic() + 60
    while not shared[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    events, cpu, at = shared[0], shared[1], time.monotonic()
    time.sleep(seconds)
    events, cpu, span = shared[0] - events, shared[1] - cpu, time.monotonic() - at
    process.kill()
    process.join()
    return events / span, cpu / max(events, 1) * 1e6


def _run(peer: str, host: str, extra: dict[str, Any], shared: Any) -> None:
    counted = [0]

    def publish() -> None:
        while True:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            shared[1] = usage.ru_utime + usage.ru_stime
            shared[0] = counted[0]
            time.sleep(0.1)

    threading.Thread(target=publish, daemon=True).start()
    if peer.startswith("official"):
        _official(host, counted, raw=peer.endswith("raw"))
    elif peer == "naive":
        asyncio.run(_naive(host, counted, extra))
    elif peer == "receive_only":
        asyncio.run(_receive_only(host, counted, extra))
    elif peer == "receive_and_write":
        asyncio.run(_receive_and_write(host, counted, extra))
    else:
        asyncio.run(_reader(host, counted, extra))


async def _naive(host: str, counted: list[int], extra: dict[str, Any]) -> None:
    import redis.asyncio
    import websockets

    client = redis.asyncio.Redis(port=extra["redis_port"])
    async with websockets.connect(f"{host}/stocks", max_size=None, ping_interval=None) as ws:
        await _subscribe(ws)
        async for message in ws:
            for event in json.loads(message):
                if event["ev"] != "status":
                    await client.set(
                        f"stock:{event['ev']}:{event['sym']}", json.dumps(event), ex=60
                    )
                    counted[0] += 1


async def _subscribe(ws: Any) -> None:
    await ws.recv()
    await ws.send(json.dumps({"action": "auth", "params": "key"}))
    await ws.recv()
    await ws.send(json.dumps({"action": "subscribe", "params": "T.*,Q.*"}))


def _official(host: str, counted: list[int], *, raw: bool) -> None:
    from massive import WebSocketClient

    client = WebSocketClient(
        api_key="key",
        feed=host.split("://")[1],
        secure=False,
        subscriptions=["T.*", "Q.*"],
        raw=raw,
    )

    def take_models(messages: Any) -> None:
        counted[0] += len(messages)

    def take_raw(message: Any) -> None:
        counted[0] += message.count(b'"ev":' if isinstance(message, bytes) else '"ev":')

    client.run(take_raw if raw else take_models)


async def _receive_only(host: str, counted: list[int], extra: dict[str, Any]) -> None:
    import picows

    from stock_platform.stream.runtime import tune_gc_and_malloc

    tune_gc_and_malloc()
    per_frame = extra["per_frame"]

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            frame.get_payload_as_bytes()
            counted[0] += per_frame

    await _listen(Listener, host, extra)


async def _receive_and_write(host: str, counted: list[int], extra: dict[str, Any]) -> None:
    """The least a journal can cost: a tick's frames joined into one write, nothing else."""
    import os

    import picows

    from stock_platform.stream.runtime import tune_gc_and_malloc

    tune_gc_and_malloc()
    frames: list[bytes] = []
    loop = asyncio.get_running_loop()
    file = os.open(f"{extra['folder']}.plain", os.O_CREAT | os.O_WRONLY)

    def write() -> None:
        os.write(file, b"".join(frames))
        counted[0] += len(frames) * extra["per_frame"]
        frames.clear()
        if os.lseek(file, 0, os.SEEK_CUR) > JOURNAL_BYTES_MAX:
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if not frames:
                loop.call_soon(write)
            frames.append(frame.get_payload_as_bytes())

    await _listen(Listener, host, extra)


async def _listen(listener: Any, host: str, extra: dict[str, Any]) -> None:
    import ssl

    import picows

    authority = extra.get("authority")
    trust = ssl.create_default_context(cafile=authority) if authority else None
    transport, _ = await picows.ws_connect(listener, f"{host}/stocks", ssl_context=trust)
    transport.send(picows.WSMsgType.TEXT, b'{"action":"auth","params":"key"}')
    transport.send(picows.WSMsgType.TEXT, b'{"action":"subscribe","params":"T.*,Q.*"}')
    await transport.wait_disconnected()


async def _reader(host: str, counted: list[int], extra: dict[str, Any]) -> None:
    from pathlib import Path

    from stock_platform.stream.feed.options import FeedOptions, ReaderOptions
    from stock_platform.stream.feed.reader import Reader
    from stock_platform.stream.runtime import tune_gc_and_malloc

    tune_gc_and_malloc()
    reader = Reader(
        ReaderOptions(
            journal=Path(extra["folder"]),
            feeds=(FeedOptions("delayed", host, ("T", "Q")),),
            api_key="key",
            symbols=None,
            subscribe_batch=500,
            backoff=(1000, 2.0, 30_000),
            segment_bytes=67_108_864,
            journal_bytes_max=JOURNAL_BYTES_MAX,
            full_policy="pause",
            consumers=(),
            sync_s=0.2,
            ping_s=10,
            silence_s=30,
            channel_silence_s=180,
            frame_bytes_max=1 << 24,
            trust=str(extra.get("authority") or ""),
        )
    )

    async def count() -> None:
        while True:
            counted[0] = reader.frames * extra["per_frame"]
            await asyncio.sleep(0.05)

    counting = asyncio.create_task(count())
    await reader.run(asyncio.Event())
    counting.cancel()
