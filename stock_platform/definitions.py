"""Dagster's entry point: everything in `defs/`, loaded without a key, network or service."""

from pathlib import Path

import dagster as dg

from stock_platform import defs as folder
from stock_platform.components.instance import warn_of_a_temporary_home
from stock_platform.components.loading import known_beta_features, with_code_references


@dg.definitions
def defs() -> dg.Definitions:
    """Load the folder `defs/`; a run is one process (4.3 s, with a process per step 9.7 s)."""
    warn_of_a_temporary_home()
    # What dg.load_from_defs_folder does, without a pyproject.toml (there is none beside an
    # installed package) and without importing every component library: boto3, 1.7 s more.
    tree = dg.ComponentTree(defs_module=folder, project_root=Path(__file__).parents[1])
    with known_beta_features():
        loaded = with_code_references(tree.build_defs(tree.defs_module_path))
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
