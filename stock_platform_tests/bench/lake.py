"""Bench of the lake: a live minute, a compaction, a flat-file day, and bytes per bar.

`python -m stock_platform_tests.bench.lake`
"""

import gzip
import statistics
import tempfile
import time
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.lake import stream_parts, tables, write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.stream_parts import compact
from stock_platform.providers.massive.flat_file_rows import COLUMNS, parse_minute_aggs
from stock_platform_tests.bench.bars import OBSERVED, SESSION, live_minutes, session_bars
from stock_platform_tests.bench.measured import measured
from stock_platform_tests.bench.report import Report

FLAT_FILE_SYMBOLS = 10_200
"""As liquid as real ones are they have 1.8M bars in a session."""


def write_minutes(folder: str) -> list[float]:
    """Write a session's 390 live parts of 8,000 symbols; return the seconds each took."""
    store = FileStore.open(folder)
    taken = []
    for slot, minute in enumerate(live_minutes(session_bars())):
        label = f"{(570 + slot) // 60:02d}{(570 + slot) % 60:02d}"
        bars = minute.rechunk()
        began = time.perf_counter()
        stream_parts.write_live_minute(store, SESSION, label, "bench", bars)
        taken.append(time.perf_counter() - began)
    return taken


def compact_session(folder: str) -> write.Published:
    return compact(FileStore.open(folder), SESSION)


def write_flat_file(path: str) -> int:
    """Write a day of real-shaped bars as the vendor's csv.gz; return its rows."""
    bars = session_bars(FLAT_FILE_SYMBOLS, density=None)
    text = bars.select(
        pl.col("symbol").alias("ticker"),
        pl.col("volume").cast(pl.Float64),
        *(pl.col(name) for name in ("open", "close", "high", "low")),
        pl.col("minute").dt.epoch("ns").alias("window_start"),
        "transactions",
    ).select(COLUMNS)
    Path(path).write_bytes(gzip.compress(text.write_csv().encode(), 6))
    return bars.height


def keep_flat_file(path: str, folder: str) -> write.Published:
    """Read, parse, sift and publish a flat file, as the session's source does."""
    sifted = parse_minute_aggs(Path(path).read_bytes(), session=SESSION, observed_at=OBSERVED)
    return write.publish_minute_bars(FileStore.open(folder), SESSION, sifted.bars)


def keep_session(folder: str) -> write.Published:
    return write.publish_minute_bars(FileStore.open(folder), SESSION, session_bars())


def heal_session(folder: str) -> write.Published:
    """Merge 500 healed bars into a session of 3.1M."""
    store = FileStore.open(folder)
    later = pl.col("observed_at") + timedelta(days=1)
    held = pl.read_parquet(store.uri(tables.data("minute_bars", SESSION)), n_rows=500)
    healed = held.with_columns(later, pl.col("volume") + 1).cast(MINUTE_BARS)
    return write.publish_minute_bars(store, SESSION, healed)


def csv_gz_bytes(bars: pl.DataFrame) -> int:
    return len(gzip.compress(bars.write_csv().encode(), 6))


def parquet_bytes(bars: pl.DataFrame) -> int:
    out = BytesIO()
    bars.write_parquet(out, compression="zstd", compression_level=3, row_group_size=32_768)
    return len(out.getvalue())


def arctic_bytes(lake: str, folder: str) -> int:
    """Keep the lake's session in ArcticDB, prices as float64 (it has no decimals)."""
    import arcticdb

    money = [name for name, dtype in MINUTE_BARS.items() if isinstance(dtype, pl.Decimal)]
    rows = pl.read_parquet(f"{lake}/{tables.data('minute_bars', SESSION)}").with_columns(
        pl.col(money).cast(pl.Float64), pl.col("revision").cast(pl.String)
    )
    frame = rows.to_pandas()
    library = arcticdb.Arctic(f"lmdb://{folder}?map_size=4GB").create_library("bars")
    library.write("session", frame)
    # The map is a sparse file: what counts is the blocks it occupies.
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


def bench_minutes(report: Report, folder: str) -> None:
    taken = measured(write_minutes, folder).result
    report.add("one live minute of 8,000 symbols", statistics.median(taken) * 1e3, "ms", "< 15")
    p99 = statistics.quantiles(taken, n=100)[98]
    report.add("one live minute of 8,000 symbols, p99", p99 * 1e3, "ms")


def bench_compaction(report: Report, folder: str) -> None:
    step = measured(compact_session, folder)
    assert step.result.rows == 3_120_000
    report.add("compaction of 390 parts, 3.1M bars", step.seconds, "s", "< 5")
    report.add("compaction, processor time", step.processor_s, "s")
    report.add("compaction, peak memory", step.peak_gb, "GB", "< 2")
    step = measured(keep_session, folder)
    assert step.result.revisions == {"final": 3_120_000}
    step = measured(heal_session, folder)
    assert step.result.changed == 500
    report.add("500 healed bars into 3.1M", step.seconds, "s")


def bench_flat_file(report: Report, folder: str) -> None:
    path = f"{folder}/day.csv.gz"
    rows = measured(write_flat_file, path).result
    step = measured(keep_flat_file, path, f"{folder}/flat")
    assert step.result.added == rows
    report.add(f"flat file of {rows / 1e6:.1f}M bars into the lake", step.seconds, "s", "< 10")
    report.add("flat file into the lake, processor time", step.processor_s, "s")
    report.add("flat file into the lake, peak memory", step.peak_gb, "GB")


def bench_bytes(report: Report, folder: str) -> None:
    day = f"{folder}/flat/{tables.data('minute_bars', SESSION)}"
    bars = pl.read_parquet(day)
    size = Path(day).stat().st_size
    report.add("bytes per bar, flat-file day", size / bars.height, "B", "<= 14")
    full = Path(folder) / "live" / tables.data("minute_bars", SESSION)
    report.add(
        "bytes per bar, full session with VWAP", full.stat().st_size / 3_120_000, "B", "<= 14"
    )
    given = Path(f"{folder}/day.csv.gz").stat().st_size
    report.add("csv.gz, the vendor's 8 columns", given / bars.height, "B")
    eight = bars.drop("vwap", "provider", "revision", "observed_at")
    report.add("Parquet, the same 8 columns", parquet_bytes(eight) / bars.height, "B")
    report.add("csv.gz, all 12 columns", csv_gz_bytes(bars) / bars.height, "B")
    arctic = measured(arctic_bytes, f"{folder}/flat", f"{folder}/arctic").result
    report.add("ArcticDB, all 12 columns", arctic / bars.height, "B")


def main() -> None:
    report = Report("The lake on local disk")
    with tempfile.TemporaryDirectory() as folder:
        bench_minutes(report, f"{folder}/live")
        bench_compaction(report, f"{folder}/live")
        bench_flat_file(report, folder)
        bench_bytes(report, folder)
    report.finish()


if __name__ == "__main__":
    main()
