"""The Dagster instance that the environment names, looked at from outside."""

import dagster as dg

from stock_platform.errors import PermanentError
from stock_platform.settings import DagsterSettings, load


def is_there_a_home() -> bool:
    """Return whether DAGSTER_HOME is set."""
    return load(DagsterSettings).home is not None


def describe_instance() -> str:
    """Open the instance and return where it stores runs and which daemons live.

    Raises `Permanent` when it cannot be opened.
    """
    home = load(DagsterSettings).home
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
