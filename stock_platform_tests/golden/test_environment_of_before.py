"""The variables of before mean what they meant."""

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from stock_platform import settings
from stock_platform_tests.golden.facts import FACTS, GOLDEN

RENAMED = {
    "FollowingSettings": "AutomationSettings",
    "asks_at_once": "max_concurrent_requests",
}
"""Classes and fields of before under their present names; variables keep their old names too."""
PARSED = [
    (file, kind)
    for file in ("old.env", "old_aliases.env")
    for kind in FACTS["old_env"]["values"][file]
]


@pytest.mark.parametrize(("file", "kind"), PARSED)
def test_the_old_variables_mean_what_they_meant(
    monkeypatch: pytest.MonkeyPatch, file: str, kind: str
) -> None:
    _set_only(monkeypatch, dotenv_values(GOLDEN / file))

    made = getattr(settings, RENAMED.get(kind, kind))()

    known = FACTS["old_env"]["values"][file][kind]
    assert {name: _plain(getattr(made, RENAMED.get(name, name))) for name in known} == known


def _set_only(monkeypatch: pytest.MonkeyPatch, values: dict[str, str | None]) -> None:
    known = {*dotenv_values(GOLDEN / "old.env"), *dotenv_values(GOLDEN / "old_aliases.env")}
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value or "")


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, int | float | dict | None) else str(value)
