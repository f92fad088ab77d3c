"""Run by `make docs`."""

from stock_platform_tests.house.api_document import API, page
from stock_platform_tests.house.settings_document import (
    CONFIGURATION,
    ENV_EXAMPLE,
    configuration,
    env_example,
)

ENV_EXAMPLE.write_text(env_example())
CONFIGURATION.write_text(configuration())
API.write_text(page())
