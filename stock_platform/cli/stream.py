"""`stocks stream`: the streaming sidecar."""

from stock_platform.stream.supervisor import stream_command


def run_sidecar() -> int:
    """Run until SIGTERM or SIGINT; return the exit code (2: a setting is missing or wrong)."""
    return stream_command()
