"""The sidecar beside its peers, in one run (`make bench-stream`); `--seconds 3` for a look."""

import argparse
import itertools
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from stock_platform_tests.bench.report import Report
from stock_platform_tests.bench.stream_load import Load, sending
from stock_platform_tests.bench.stream_peers import measure

FRAME_SIZES = (1, 20, 200)
PACED = (20_000, 100_000)
MARKET_SKEW = 0.8
PEERS_OF_20 = ("naive", "official_models", "official_raw")


def bench_receivers(report: Report, seconds: float, redis_port: int) -> None:
    """Receive only against our reader, by frame size and with TLS; the other peers at 20."""
    for per_frame, tls in itertools.product(FRAME_SIZES, (False, True)):
        label = f"{per_frame} a frame{', TLS' if tls else ''}"
        alone = _flat_out("receive_only", per_frame, seconds, tls=tls, redis_port=redis_port)
        report.add(f"picows receive only, {label}", alone[0], "events/s")
        plain = _flat_out("receive_and_write", per_frame, seconds, tls=tls, redis_port=redis_port)
        report.add(f"picows receive and plain write, {label}", plain[0], "events/s")
        reader = _flat_out("reader", per_frame, seconds, tls=tls, redis_port=redis_port)
        report.add(f"reader with journal, {label}", reader[0], "events/s")
        report.add(f"reader CPU, {label}", reader[1], "s per million")
        report.add(f"reader of receive only, {label}", reader[0] / alone[0], "x", ">= 0.6")
        report.add(f"reader of receive and plain write, {label}", reader[0] / plain[0], "x")
    for peer in PEERS_OF_20:
        rate, cpu = _flat_out(peer, 20, seconds, tls=False, redis_port=redis_port)
        report.add(f"{peer}, 20 a frame", rate, "events/s")
        report.add(f"{peer} CPU", cpu, "s per million")


def _flat_out(
    peer: str, per_frame: int, seconds: float, *, tls: bool, redis_port: int
) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sending(Load(per_frame=per_frame, tls=tls), folder) as source:
            extra = {
                "per_frame": per_frame,
                "redis_port": redis_port,
                "folder": str(folder / "journal"),
                "authority": str(source.authority) if source.authority else None,
            }
            return measure(peer, source.host, seconds, extra)


def bench_chain(
    report: Report, rate: int, seconds: float, redis_port: int, skew: float = 0.0
) -> None:
    """The whole chain at a pace: enough, cheap enough, and not falling behind."""
    # Every process imports this module when it starts: what is heavy is loaded here only.
    from stock_platform.settings import StreamSettings
    from stock_platform_tests.bench.stream_chain import discarding_s3, run_chain

    with (
        tempfile.TemporaryDirectory() as name,
        discarding_s3() as s3,
        sending(Load(rate=rate, skew=skew), Path(name)) as source,
    ):
        settings = StreamSettings(
            polygon_api_key="key",
            polygon_ws_symbols="*",
            polygon_ws_host_realtime=source.host,
            polygon_ws_host_delayed=source.host,
            redis_url=f"redis://127.0.0.1:{redis_port}/0",
            journal_dir=Path(name) / "journal",
            s3_enabled=True,
            s3_bucket="bench",
            s3_endpoint_url=s3,
            stream_to_lake=False,
        )
        result = run_chain(settings, source, seconds, redis_port)
    print(json.dumps(asdict(result)), file=sys.stderr)
    label = f"chain at {rate:,}/s{', some symbols busier' if skew else ''}"
    paced = rate in PACED
    report.add(f"{label}: rate", result.events_per_s, "events/s", f">= {rate * 0.98:.0f}")
    flat_out = "<= 3.5" if rate >= 300_000 else ""
    report.add(f"{label}: CPU", result.cpu_s_per_million, "s per million", flat_out)
    report.add(f"{label}: cores", result.cores, "cores", "<= 0.4" if paced else "")
    report.add(f"{label}: source to Redis p50", result.delay_ms_p50, "ms")
    report.add(
        f"{label}: source to Redis p99", result.delay_ms_p99, "ms", "<= 100" if paced else ""
    )
    report.add(f"{label}: socket blocked", result.blocked_ms_max, "ms", "<= 20" if paced else "")
    report.add(f"{label}: lag growth", result.lag_growth_s, "s", "<= 1")
    report.add(f"{label}: memory of all processes", result.memory_mb, "MB", "<= 300")
    report.add(f"{label}: memory growth", result.memory_growth_mb, "MB")


def bench_kill(report: Report, kills: int) -> None:
    """What a kill -9 of the reader at 100,000 events/s costs between kernel and journal."""
    from stock_platform_tests.bench.stream_chain import lost_by_kill

    lost = []
    for _ in range(kills):
        with (
            tempfile.TemporaryDirectory() as name,
            sending(Load(rate=100_000), Path(name)) as source,
        ):
            lost.append(lost_by_kill(source, Path(name) / "journal") / 100)
    report.add("kill -9 of the reader: feed lost, median", sorted(lost)[len(lost) // 2], "ms")
    report.add("kill -9 of the reader: feed lost, worst", max(lost), "ms")


def main() -> None:
    from stock_platform_tests.stream.servers import redis_server

    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each receiver")
    parser.add_argument("--chain-seconds", type=float, default=60, help="of each paced run")
    parser.add_argument("--rates", default="20000,100000,300000")
    parser.add_argument("--only", choices=["receivers", "chain"], default=None)
    parser.add_argument("--full", action="store_true", help="also 10 minutes at 50,000/s")
    asked = parser.parse_args()
    report = Report("The streaming sidecar beside its peers")
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        if asked.only != "chain":
            bench_receivers(report, asked.seconds, redis.port)
        if asked.only != "receivers":
            for rate in map(int, asked.rates.split(",")):
                bench_chain(report, rate, asked.chain_seconds, redis.port)
            bench_chain(report, 100_000, asked.chain_seconds, redis.port, MARKET_SKEW)
            bench_kill(report, 5)
        if asked.full:
            bench_chain(report, 50_000, 600, redis.port)
    report.finish()


if __name__ == "__main__":
    main()
