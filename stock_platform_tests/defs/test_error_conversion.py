"""Every body that Dagster runs turns the platform's errors into Dagster's."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.errors import PermanentError, TransientError
from stock_platform_tests.defs.runs import DEFS


def _bodies() -> Iterator[tuple[str, Callable[..., Any]]]:
    nodes = {job.name: job.graph for job in DEFS.get_repository_def().get_all_jobs()}
    ops = {op.name: op for graph in nodes.values() for op in graph.iterate_op_defs()}
    for name, op in sorted(ops.items()):
        compute = op.compute_fn
        yield name, getattr(compute, "decorated_fn", compute)  # pyright: ignore[reportReturnType]


BODIES = dict(_bodies())


def test_assets_checks_and_ops_are_all_looked_at() -> None:
    graph = DEFS.resolve_asset_graph()
    assets = {key.to_python_identifier() for key in graph.executable_asset_keys}
    checks = {
        f"{key.asset_key.to_python_identifier()}_{key.name}" for key in graph.asset_check_keys
    }

    assert assets <= set(BODIES)
    assert checks <= set(BODIES)
    assert {"answer", "prune"} <= set(BODIES)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_wrapped_by_the_converter(name: str) -> None:
    wrapper = no_retry_unless_transient(lambda: None)

    assert BODIES[name].__code__.co_filename == wrapper.__code__.co_filename
    assert hasattr(BODIES[name], "__wrapped__")


def _run(error: Exception) -> dg.ExecuteInProcessResult:
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    @no_retry_unless_transient
    def broken() -> None:
        raise error

    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([broken], instance=instance, raise_on_error=False)


def test_a_permanent_error_fails_the_step_and_is_never_retried() -> None:
    result = _run(PermanentError("the key is wrong"))

    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_a_permanent_error_becomes_a_failure_that_allows_no_retries() -> None:
    @no_retry_unless_transient
    def body() -> None:
        raise PermanentError("the key is wrong")

    with pytest.raises(dg.Failure, match="the key is wrong") as raised:
        body()

    assert raised.value.allow_retries is False


def test_a_transient_error_is_retried_by_the_policy_of_the_step() -> None:
    result = _run(TransientError("the service restarts"))

    assert len([event for event in result.all_events if event.is_step_up_for_retry]) == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermanentError("no"), dg.Failure), (TransientError("later"), TransientError)],
)
def test_a_body_that_yields_is_converted_too(error: Exception, raised: type[Exception]) -> None:
    @no_retry_unless_transient
    def body() -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(raised):
        list(body())
