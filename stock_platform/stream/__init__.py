"""The sidecar: socket, journal, consumers."""
