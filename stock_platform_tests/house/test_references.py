"""Nothing is kept in the package that only tests and benches use."""

import stock_platform
from stock_platform_tests.house.exceptions import UNUSED
from stock_platform_tests.house.modules import classes
from stock_platform_tests.house.references import Definition, unused


def test_everything_defined_is_used() -> None:
    public = set(getattr(stock_platform, "__all__", ()))
    offered = {one.node.name for one in classes() if one.node.name in public}
    found = [one for one in unused() if not ({one.name} & public or one.owner in offered)]

    assert [str(one) for one in found if not (one.name in UNUSED or _is_a_suite(one))] == []


def _is_a_suite(definition: Definition) -> bool:
    """Return whether it belongs to a contract suite, which strangers run."""
    return definition.path.parts[1] == "testing"
