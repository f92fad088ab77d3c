"""Sensors and schedules under the names they had: what was stored for them stays theirs.

Dagster stores whether a sensor or schedule was turned on or off, and a sensor's cursor,
under its name. `stocks dev` and the `migrate` role of the images carry both over before
Dagster starts. For an instance started otherwise, with DAGSTER_HOME set:

    python -m stock_platform.components.renamed
"""

import sys

import dagster as dg
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState

NEW_NAMES = {
    "standing_troubles": "health_alerts",
    "after_the_close": "session_settlement",
    "fresh_quotes": "quote_targets",
    "stream_observed": "stream_observation",
    "reference_data_is_absent": "missing_reference_data",
    "every_night": "nightly_retention",
    "every_morning": "reference_schedule",
    "every_minute_of_a_session": "quote_polling_schedule",
    "every_day_after_a_session": "daily_update_schedule",
    "every_saturday": "weekly_report_schedule",
    "enqueue_every_minute": "quote_request_schedule",
}
"""Name of today by the name a sensor or schedule had before."""


def names_of(sensor: str) -> list[str]:
    """Return the name of a sensor or schedule, and the names it had before.

    >>> names_of("session_settlement")
    ['session_settlement', 'after_the_close']
    """
    return [sensor, *(old for old, new in NEW_NAMES.items() if new == sensor)]


def carry_over_sensor_states(instance: dg.DagsterInstance) -> list[str]:
    """Store status and cursor of renamed sensors and schedules under their new names.

    Safe to repeat: a state that is stored under the new name already stays as it is, and
    the one under the old name is kept for a return to the version before. Return the new
    names that received a state.
    """
    carried: list[str] = []
    for old in instance.all_instigator_state():
        if old.instigator_name not in NEW_NAMES:
            continue
        new = InstigatorState(
            # The origin names location, repository and sensor; Dagster finds the state by it.
            RemoteInstigatorOrigin(
                repository_origin=old.origin.repository_origin,
                instigator_name=NEW_NAMES[old.instigator_name],
            ),
            old.instigator_type,
            old.status,
            old.instigator_data,
        )
        if instance.get_instigator_state(new.instigator_origin_id, new.selector_id) is None:
            instance.add_instigator_state(new)
            carried.append(new.instigator_name)
    return sorted(carried)


def main() -> int:
    """Carry the states over in the instance that DAGSTER_HOME names; print what was carried."""
    with dg.DagsterInstance.get() as instance:
        carried = carry_over_sensor_states(instance)
    sys.stdout.write(f"states carried over to new names: {', '.join(carried) or 'none'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
