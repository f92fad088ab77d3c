"""The sidecar: socket, journal, tailers."""
