"""DuckDB reads the bitmaps as they are stored."""

import duckdb
from hypothesis import given

from stock_platform.domain.coverage import SessionCoverage
from stock_platform_tests.domain.any_coverage import coverages
from stock_platform_tests.domain.examples import GRID, bars_of


def ask(query: str, coverage: SessionCoverage) -> list[int]:
    """Return the only column of a query over `coverage`, the ledger's frame."""
    with duckdb.connect() as connection:
        connection.register("coverage", coverage.to_frame())
        return [value for (value,) in connection.sql(query).fetchall()]


@given(coverages())
def test_duckdb_counts_the_bits_of_a_bitmap(coverage: SessionCoverage) -> None:
    counted = ask("select bit_count(observed_bits::BIT) from coverage order by symbol", coverage)

    assert counted == coverage.bits["observed"].sum(axis=1).tolist()


def test_duckdb_finds_a_slot_where_the_grid_has_it() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    coverage.set_observed(bars_of([("A", 7), ("A", 389)]))
    query = "select get_bit(observed_bits::BIT, s::INT) from coverage, range(390) t(s) order by s"

    bits = ask(query, coverage)

    assert [slot for slot, bit in enumerate(bits) if bit] == [7, 389]
