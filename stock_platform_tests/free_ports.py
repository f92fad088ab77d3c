"""A port nobody listens on."""

import socket


def free_port() -> int:
    """Return a free port of 127.0.0.1; whoever asked should take it soon."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
