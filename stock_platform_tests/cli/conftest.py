"""Servers that commands are tried against."""

from collections.abc import Generator

import pytest

from stock_platform_tests.serving.running import running_aws


@pytest.fixture(scope="session")
def moto_url() -> Generator[str]:
    with running_aws() as url:
        yield url
