"""`stocks stream`: be the streaming sidecar."""

from stock_platform.stream.supervisor import stream_command


def be_the_sidecar() -> int:
    """Work until SIGTERM or SIGINT; give the exit code (2: a setting is missing or wrong)."""
    return stream_command()
