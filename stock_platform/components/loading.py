"""How the definitions are loaded: with links to their code, without warnings of chosen features."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

_LATER = (
    # The settlement starts one run per session; that some of its assets also take a range
    # in one run, when a person backfills them, is intended.
    (
        "Asset job __anonymous_asset_job_session_settlement materializes assets with var",
        UserWarning,
    ),
    # Dagster passes it itself when it binds resources to a run failure sensor.
    ("Parameter `owners` of initializer `SensorDefinition.__init__`", dg.BetaWarning),
)
"""Warnings of jobs and sensors that Dagster makes after the definitions were loaded."""


@contextmanager
def known_beta_features() -> Generator[None]:
    """Silence Dagster's warnings of beta and preview features while definitions are loaded.

    They are chosen, pinned (`dagster<1.14`) and tested: backfill policies and partition
    mappings (DESIGN section 6), partitioned checks, code references, autoloading.
    """
    for message, kind in _LATER:
        warnings.filterwarnings("ignore", message=message, category=kind)
    with warnings.catch_warnings():
        for feature in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", feature)
        yield


def with_code_references(loaded: dg.Definitions) -> dg.Definitions:
    """Link every asset's page to the file and line that define it.

    A module that imports another's asset is read as holding it too: each is kept once.
    """
    assets = list({id(asset): asset for asset in loaded.assets or ()}.values())
    return dg.Definitions(
        assets=dg.with_source_code_references(assets),  # pyright: ignore[reportArgumentType]
        asset_checks=loaded.asset_checks,
        sensors=loaded.sensors,
        schedules=loaded.schedules,
        jobs=loaded.jobs,
        resources=loaded.resources,
    )
