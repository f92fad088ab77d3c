"""Contract suites that a package runs against its own classes."""
