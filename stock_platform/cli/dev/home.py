"""A DAGSTER_HOME that is ready to use: the platform's policy in it, its databases created.

`dagster.yaml` beside this file is the policy of every instance that is started from the
package. The root of the repository holds a copy, because Dagster reads the one of the
working folder when no DAGSTER_HOME is set.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from importlib.resources import files
from io import StringIO
from pathlib import Path

from stock_platform.errors import PermanentError

POLICY = "dagster.yaml"
LOCK = "stocks-dev.lock"
_COPIED = "# Copied into DAGSTER_HOME by"
"""How a copy of ours begins; any other file is the user's own and stays as it is."""


def policy_text() -> str:
    """Return the text of the policy that the package carries."""
    return (files("stock_platform.cli.dev") / POLICY).read_text(encoding="utf-8")


def prepare_home(home: Path) -> bool:
    """Write the policy into `home`, and create or upgrade the databases; safe to repeat.

    What is stored for sensors and schedules that were renamed is carried over.

    Return False when `home` has a dagster.yaml of its own, which stays as it is. The
    databases are created here because the UI and the daemon race to create them when
    both start on an empty home. Raise `PermanentError` when `home` cannot be used.

    >>> prepare_home(Path(".dagster"))
    True
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        ours = _write_policy(home / POLICY)
    except OSError as error:
        raise PermanentError(f"{home} cannot be used: {error.strerror}") from None
    # Dagster takes most of a second to import: only commands that start it import it.
    import dagster as dg

    from stock_platform.components.renamed import carry_over_sensor_states

    # What Dagster prints while it upgrades is no output of the command.
    with dg.DagsterInstance.from_config(str(home)) as instance, redirect_stdout(StringIO()):
        instance.upgrade()
        carry_over_sensor_states(instance)
    return ours


@contextmanager
def locked(home: Path) -> Generator[int]:
    """Hold the lock of `home`; yield its file descriptor, which a child may keep open.

    The lock lasts as long as this process or a child that inherited it. Raise
    `PermanentError` when another `stocks dev` works on `home`.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PermanentError(
                f"another `stocks dev` works on {home}; stop it, or choose another --home"
            ) from None
        yield file.fileno()


def fail_interrupted_runs(home: Path) -> int:
    """Report the runs in progress as failed and return how many; call it under the lock.

    Nothing executes them: the processes of a home end with the Dagster that is started
    here. Left alone they hold the slots of the queue for good after a hard kill. Dagster
    retries what failed this way.
    """
    import dagster as dg

    going = [
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=going))
        for run in runs:
            instance.report_run_failed(run, "The process of this run was killed.")
    return len(runs)


def _write_policy(path: Path) -> bool:
    held = path.read_text(encoding="utf-8") if path.exists() else None
    if held is not None and not held.startswith(_COPIED):
        return False
    if held != policy_text():
        # In one step: a daemon that starts meanwhile reads the old file or the new one.
        fresh = path.with_name(f"{POLICY}.{os.getpid()}")
        fresh.write_text(policy_text(), encoding="utf-8")
        fresh.replace(path)
    return True
