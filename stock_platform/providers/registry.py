"""Which providers there are: the built-in ones, then those installed as entry points.

Ours are registered like anybody's, as `ProviderFactory`. An installed provider that cannot
be loaded or opened is logged in one line that names it and left out: it never stops the
others. A built-in one that is configured wrongly is an error of the settings and raised.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib.metadata import entry_points
from inspect import signature

import structlog

from stock_platform.errors import PermanentError
from stock_platform.providers.factory import (
    CAPABILITIES,
    SOURCES,
    Capability,
    ProviderContext,
    ProviderFactory,
    Providers,
)
from stock_platform.providers.finnhub import Finnhub
from stock_platform.providers.massive.provider import Massive, MassiveFlatFiles
from stock_platform.providers.rapidapi import RapidApi
from stock_platform.providers.transport.client import utc_now
from stock_platform.settings import Settings

__all__ = [
    "BUILT_IN",
    "GROUP",
    "NOT_CONFIGURED",
    "ProviderFactory",
    "Providers",
    "installed",
    "is_configured",
    "open_providers",
]

GROUP = "stock_platform.providers"
BUILT_IN: tuple[ProviderFactory, ...] = (Massive(), MassiveFlatFiles(), Finnhub(), RapidApi())
"""In the order in which they are preferred; installed ones follow, by name."""
NOT_CONFIGURED = (
    "no provider is configured: set MASSIVE_API_KEY (or POLYGON_API_KEY), "
    "MASSIVE_FLATFILES_ACCESS_KEY and MASSIVE_FLATFILES_SECRET_KEY, FINNHUB_API_KEY, "
    "or RAPIDAPI_KEY and RAPIDAPI_URL; name an AWS secret that holds them in "
    "STOCKS_SECRETS_FROM; or run `stocks simulate` and export what it prints"
)
_NAME = re.compile(r"[a-z0-9_-]{1,40}")
"""It is a part of rows, log lines and the request budget."""
_log = structlog.get_logger(__name__)


def installed() -> Iterator[ProviderFactory]:
    """Load the providers of other packages, by name; a broken one is logged and left out."""
    names = {provider.name for provider in BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            loaded = point.load()
            factory = loaded() if isinstance(loaded, type) else loaded
            _check(factory, names)
        except (Exception, SystemExit) as error:
            _left_out(point.name, error)
            continue
        names.add(factory.name)
        yield factory


def is_configured(settings: Settings) -> bool:
    """Return whether the settings name any provider, or a secret that may; requests nothing."""
    if settings.requests.secrets_from:
        return True
    return any(True for _ in _configured(settings, None))


@contextmanager
def open_providers(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    only: Collection[str] | None = None,
) -> Generator[Providers]:
    """Yield the sources that are configured; raise `PermanentError` when none is.

    `only` names the providers to open; those not named are left alone.

        with open_providers(Settings.from_env()) as providers:
            providers.reference[0].market_status()
    """
    opened = Providers()
    count = 0
    with ExitStack() as stack:
        context = ProviderContext(settings=settings, stack=stack, clock=clock)
        for factory in _configured(settings, only):
            context.stack = stack.enter_context(_closing(factory.name))
            try:
                found = factory.open(context)
                _check_opened(factory, found)
            except (Exception, SystemExit) as error:
                if factory in BUILT_IN:
                    raise
                _left_out(factory.name, error)
                continue
            opened.extend(found)
            count += 1
        if not count:
            raise PermanentError(NOT_CONFIGURED)
        yield opened


@contextmanager
def _closing(name: str) -> Generator[ExitStack]:
    """Yield what closes one provider: a failure to close is logged, and the others are closed.

    Raised, it would take the place of the error that ended the run.
    """
    stack = ExitStack()
    try:
        yield stack
    finally:
        try:
            stack.close()
        except (Exception, SystemExit) as error:
            _log.error("provider_not_closed", provider=name, reason=_one_line(error))


def _configured(settings: Settings, only: Collection[str] | None) -> Iterator[ProviderFactory]:
    for factory in BUILT_IN:
        if (only is None or factory.name in only) and factory.is_configured(settings):
            yield factory
    for factory in installed():
        try:
            used = (only is None or factory.name in only) and factory.is_configured(settings)
        except (Exception, SystemExit) as error:
            _left_out(factory.name, error)
            continue
        if used:
            yield factory


def _check(factory: object, names: Collection[str]) -> None:
    if not isinstance(factory, ProviderFactory):
        raise TypeError("expected name, capabilities, is_configured and open: a ProviderFactory")
    if not isinstance(factory.name, str) or not _NAME.fullmatch(factory.name):
        raise ValueError(f"its name must match {_NAME.pattern}")
    if factory.name in names:
        raise ValueError(f"the name {factory.name} is in use")
    if not factory.capabilities or not factory.capabilities <= set(CAPABILITIES):
        raise ValueError(f"capabilities are some of {', '.join(CAPABILITIES)}")


def _check_opened(factory: ProviderFactory, found: object) -> None:
    if not isinstance(found, Providers):
        raise TypeError(f"open returned {type(found).__name__}, expected Providers")
    extra = sorted(found.capabilities() - factory.capabilities)
    if extra:
        raise ValueError(f"open returned {', '.join(extra)}, which capabilities does not name")
    for kind in sorted(found.capabilities()):
        for source in getattr(found, kind):
            _check_source(kind, source)


def _check_source(kind: Capability, source: object) -> None:
    """Raise `TypeError` naming what a source lacks, before a run finds it out."""
    contract = SOURCES[kind]
    for name in sorted(member for member in dir(contract) if not member.startswith("_")):
        wanted, found = getattr(contract, name), getattr(source, name, None)
        label = f"the {kind} source {type(source).__name__}"
        if not callable(wanted):
            if not isinstance(found, str) or not found:
                raise TypeError(f"{label} has no text {name}")
            continue
        if not callable(found):
            raise TypeError(f"{label} has no method {name}")
        given = list(signature(wanted).parameters)[1:]
        try:
            signature(found).bind(*given)
        except TypeError:
            expected = ", ".join(given)
            raise TypeError(f"{label} does not take {name}({expected})") from None


def _left_out(name: str, error: BaseException) -> None:
    _log.error("provider_left_out", provider=name, reason=_one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
