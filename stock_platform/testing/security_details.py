"""Contract tests for sources of securities: what a `SecuritySource` keeps, whatever its vendor.

class TestAcmeSecurities(SecurityContract):
    def security_source(self) -> SecuritySource: ...
    def serve_security(self, details: SecurityDetails) -> None: ...
    def serve_changes(self, identifier: str, changes: Sequence[tuple[str, date]]) -> None: ...
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.providers.sources import SecurityDetails, SecuritySource

ON = date(2026, 11, 20)
META = SecurityDetails(
    provider="contract",
    symbol="META",
    listed_on=date(2012, 5, 18),
    figi="BBG000MM2P62",
    share_class_figi="BBG001SQCQC5",
    cik="0001326801",
    name="Meta Platforms, Inc.",
)
CHANGES = (("FB", date(2012, 5, 18)), ("META", date(2022, 6, 9)))


class SecurityContract:
    """What every source of securities keeps."""

    def security_source(self) -> SecuritySource:
        """Return the source."""
        raise NotImplementedError

    def serve_security(self, details: SecurityDetails) -> None:
        """Let the vendor have these details of a symbol, and of no other."""
        raise NotImplementedError

    def serve_changes(self, identifier: str, changes: Sequence[tuple[str, date]]) -> None:
        """Let the vendor have these symbols (and first days) of a security, and of no other."""
        raise NotImplementedError

    def test_it_is_a_source_of_securities(self) -> None:
        assert isinstance(self.security_source(), SecuritySource)

    def test_details_come_with_their_identity(self) -> None:
        self.serve_security(META)

        found = self.security_source().security("META", ON)

        assert found is not None
        assert (found.symbol, found.listed_on, found.figi) == ("META", META.listed_on, META.figi)
        assert found.provider == self.security_source().name

    def test_a_symbol_nobody_has_is_none(self) -> None:
        self.serve_security(META)

        assert self.security_source().security("ZZZZ", ON) is None

    def test_changes_come_rising_with_their_days(self) -> None:
        self.serve_changes("BBG000MM2P62", CHANGES)

        found = self.security_source().symbol_changes("BBG000MM2P62")

        assert found.schema == {"symbol": pl.String, "changed_on": pl.Date}
        assert found.rows() == list(CHANGES)

    def test_a_security_without_changes_has_no_row(self) -> None:
        self.serve_changes("BBG000MM2P62", CHANGES)

        assert self.security_source().symbol_changes("BBG00ANOTHER").height == 0
