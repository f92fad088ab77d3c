"""The Dagster instance: which one the environment names, and whether it lasts."""

import logging
import sys
from collections.abc import Sequence

import dagster as dg

from stock_platform.errors import PermanentError
from stock_platform.settings import Settings

TEMPORARY_HOME = ".tmp_dagster_home_"
"""Part of the path of the instance that `dagster dev` makes without a DAGSTER_HOME."""
NO_HOME = (
    "DAGSTER_HOME is not set: runs and their history are deleted when this process ends, and "
    "the limits of dagster.yaml (concurrent runs, one heal per session, retention) may not "
    "apply. Start with `stocks dev`, or set DAGSTER_HOME to a folder with that file."
)


def warn_of_a_temporary_home(arguments: Sequence[str] = tuple(sys.argv)) -> None:
    """Log one line when definitions are served to an instance that will be deleted.

    `dagster dev` and `dg dev` hand their instance to the server of the definitions in
    its command line; commands that only read definitions (`dg list defs`) have none.
    """
    is_server = "grpc" in arguments or "code-server" in arguments
    if is_server and any(TEMPORARY_HOME in argument for argument in arguments):
        logging.getLogger(__name__).warning(NO_HOME)


def is_there_a_home() -> bool:
    """Return whether DAGSTER_HOME is set."""
    return Settings.from_env().dagster.home is not None


def describe_instance() -> str:
    """Open the instance and return where it stores runs and which daemons are alive.

    Raises `PermanentError` when it cannot be opened.
    """
    home = Settings.from_env().dagster.home
    if home is None or not (home / "dagster.yaml").is_file():
        raise PermanentError(f"there is no dagster.yaml in {home}")
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            runs = instance.get_runs_count()
            storage = type(instance.run_storage).__name__
            statuses = instance.get_daemon_statuses()
    except Exception as error:
        # Dagster raises whatever its storage does, and that may quote a database's address.
        raise PermanentError(f"the instance cannot be opened: {type(error).__name__}") from None
    still = sorted(name for name, status in statuses.items() if not status.healthy)
    daemons = f"not alive: {', '.join(still)}" if still else "every daemon is alive"
    return f"{storage} with {runs} runs; {daemons}"
