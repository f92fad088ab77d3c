"""What the house tests let through, each with its reason; these lists only shrink."""

_TABLE = "one table or value each, imported by many"
_ENTRY = "an entry point"
_SETTINGS = "one concern of the settings"
_COMMAND = "one command of the command line"

SHORT_FILES = {
    "stock_platform/cli/__main__.py": _ENTRY,
    "stock_platform/cli/demo/truth.py": "what the demo compares with, apart from what it compares",
    "stock_platform/cli/replay.py": _COMMAND,
    "stock_platform/cli/report.py": _COMMAND,
    "stock_platform/cli/sql.py": _COMMAND,
    "stock_platform/cli/stream.py": _COMMAND,
    "stock_platform/cli/terminal.py": "output of every command",
    "stock_platform/components/duckdb.py": "a resource of its own",
    "stock_platform/domain/columns.py": "the types of columns, imported by every table",
    "stock_platform/domain/quotes.py": _TABLE,
    "stock_platform/errors.py": "the error hierarchy",
    "stock_platform/healing/liveness.py": "imported by pipelines and stream",
    "stock_platform/healing/retry.py": "imported by all that repeats",
    "stock_platform/healing/unfillable.py": "imported by pipelines and defs",
    "stock_platform/indicators/engine/states.py": "imported by engine, pipelines and testing",
    "stock_platform/indicators/library/talib_functions.py": "imported by every kind of indicator",
    "stock_platform/lake/sql/adjust.py": "one rule of SQL over the lake",
    "stock_platform/providers/transport/body.py": "imported by every vendor",
    "stock_platform/providers/transport/revision_policy.py": "imported by every vendor",
    "stock_platform/serving/postgres/migrations/env.py": "alembic's entry point",
    "stock_platform/serving/postgres/migrations/versions/r0001_stock_data.py": "a migration",
    "stock_platform/serving/postgres/migrations/versions/r0002_by_date.py": "a migration",
    "stock_platform/serving/postgres/refresh.py": "one operation on the store",
    "stock_platform/serving/postgres/schema.py": "one operation on the store",
    "stock_platform/settings/alerts.py": _SETTINGS,
    "stock_platform/settings/dagster.py": _SETTINGS,
    "stock_platform/settings/healing.py": _SETTINGS,
    "stock_platform/settings/lake.py": _SETTINGS,
    "stock_platform/simulator/__main__.py": _ENTRY,
    "stock_platform/stream/feed/options.py": "what a child process is started with",
    "stock_platform/stream/status.py": "imported by every process of the sidecar",
    "stock_platform/components/settings_at_load.py": "imported by every definition",
    "stock_platform/definitions.py": "Dagster's entry point",
    "stock_platform/defs/indicators/checks.py": "a concept's checks",
    "stock_platform/defs/reference/automation.py": "a concept's automation",
    "stock_platform/defs/reference/checks.py": "a concept's checks",
    "stock_platform/defs/serving/sensors.py": "a concept's automation",
    "stock_platform/defs/stream/assets.py": "a concept's assets",
}

_CONCEPT = "Dagster's file of a concept: a folder per concept"
_SUBJECT = "the same subject in another layer: its values, its source, its table, its run"
_VENDOR = "the same part of another vendor, or its simulator"
_COMMAND_OF = "the command line's file for what the package of that name does"

FILE_NAMES_TWICE = {
    "__main__.py": _ENTRY,
    **dict.fromkeys(("assets.py", "automation.py", "checks.py", "sensors.py"), _CONCEPT),
    **dict.fromkeys(
        ("bars.py", "quotes.py", "reference.py", "coverage.py", "responses.py",
         "sessions.py", "indicators.py", "lake.py", "weekly_report.py", "alerts.py", "market.py",
         "providers.py",),
        _SUBJECT,
    ),
    **dict.fromkeys(
        ("feed.py", "flat_files.py", "rapidapi.py", "ticks.py", "socket.py", "channels.py",),
        _VENDOR,
    ),
    **dict.fromkeys(("report.py", "replay.py", "stream.py",), _COMMAND_OF),
    **dict.fromkeys(
        ("plan.py", "processes.py", "registry.py", "store.py", "reader.py", "run.py",
         "sqlite.py", "secrets.py"),
        "the plan, processes, registry, store, reader or secrets of its own folder",
    ),
}  # fmt: skip

CLASS_NAMES_TWICE = {
    "RedisStore": "a rate limit's store and the newest values' store",
    "Finnhub": "the vendor, and its simulator",
    "RapidApi": "the vendor, and its simulator",
    "Feed": "a scenario's feed, and what a simulated socket reads from",
    "Handler": "the method http.server prescribes",
}

POSITIONAL_CLASSES = {
    "Record": "built once for every record of the journal; by keyword that takes a third longer",
}
"""Dataclasses of many fields that are built by position."""

_STARTS = "where a command, a run, a tick or the sidecar starts"
READ_SETTINGS = {
    "stock_platform/settings/": "the loader itself",
    "stock_platform/testing/": "a contract suite, as an entry point does",
    "stock_platform/api/": "open_lake",
    "stock_platform/cli/": _STARTS,
    "stock_platform/components/": _STARTS,
    "stock_platform/pipelines/context.py": "LakeContext.from_env",
    "stock_platform/stream/supervisor.py": _STARTS,
}
"""Files, or folders, that may read the settings from the environment."""

_PICOWS, _FSSPEC, _HTTPX = "picows calls it", "fsspec calls it", "httpx2 calls it"
UNUSED = {
    "on_ws_connected": _PICOWS,
    "on_ws_frame": _PICOWS,
    "on_ws_disconnected": _PICOWS,
    "pause_writing": _PICOWS,
    "resume_writing": _PICOWS,
    "_fetch_range": _FSSPEC,
    "auth_flow": _HTTPX,
    "downgrade": "alembic calls it",
    "settings_customise_sources": "pydantic-settings calls it",
    "_is_dagster_maintained": "Dagster calls it",
    "set_faults": "the simulator's interface for tests of users",
    "set_flatfiles": "the simulator's interface for tests of users",
    "set_denied": "the simulator's interface for tests of users",
    "launched": "the simulator's interface for tests of users",
    "create_queues": "docs/serving.md calls it",
}
"""Names nothing in the package refers to, with who does."""
