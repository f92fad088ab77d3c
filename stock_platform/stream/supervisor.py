"""`stocks stream`: one effective sidecar per API key, its processes, its health.

Order of a stop: the reader first, so that the journal has an end; then the
consumers, which read to that end and deliver everything; then the lease.
"""

import signal
import sys
import threading
import time
from datetime import UTC, datetime

import structlog

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings, StreamSettings
from stock_platform.stream import runtime, status
from stock_platform.stream.health import HealthLine, HealthServer, Progress
from stock_platform.stream.lease import Lease, lease_key
from stock_platform.stream.processes import (
    ManagedProcess,
    ProcessPlan,
    plan_processes,
    symbols_to_subscribe,
)
from stock_platform.stream.sinks.installed import check_names
from stock_platform.stream.sinks.redis_latest import Fence, save_fence
from stock_platform.stream.sinks.redis_store import open_value_store

log = structlog.get_logger(__name__)
TICK_S = 0.25
READER_STOP_S = 10.0
CONSUMER_STOP_S = 25.0
RENEWALS_PER_TTL = 3
WRONG_SETTINGS = 2


class Supervisor:
    """Holds the lease and keeps the processes running; `run` returns after `stop`."""

    def __init__(self, settings: StreamSettings, plan: ProcessPlan) -> None:
        self._settings = settings
        self._plan = plan
        self._stop = threading.Event()
        self._values = open_value_store(
            settings.redis_url.get_secret_value(), settings.redis_token.get_secret_value()
        )
        key = lease_key(settings.polygon_api_key.get_secret_value())
        self._lease = Lease(values=self._values, key=key, ttl_ms=int(settings.lease_ttl_sec * 1000))
        self._has_led = False
        self._renew_at = 0.0
        self._health_at = time.monotonic() + settings.ws_health_interval_sec
        consumers = tuple(child.name for child in plan.consumers)
        self._line = HealthLine(consumers, time.monotonic())
        self.progress = Progress(journal=settings.journal_dir, consumers=consumers)

    def stop(self, *_: object) -> None:
        self._stop.set()

    def run(self) -> int:
        """Work until stopped; return the exit code."""
        settings = self._settings
        health = self._open_health()
        log.info("sidecar_started", metrics_port=health.port)
        status.save(settings.journal_dir, "supervisor", {"metrics_port": health.port})
        try:
            while not self._stop.is_set():
                self._tick(time.monotonic())
                self._stop.wait(TICK_S)
        finally:
            self._shut_down()
            health.close()
        return 0

    def _open_health(self) -> HealthServer:
        settings = self._settings
        try:
            settings.journal_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(f"JOURNAL_DIR: {settings.journal_dir}: {error.strerror}") from None
        try:
            return HealthServer(self.progress, settings.metrics_host, settings.metrics_port)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise PermanentError(f"METRICS_HOST, METRICS_PORT: {where}: {error.strerror}") from None

    def _tick(self, now: float) -> None:
        if now >= self._renew_at:
            self._renew_at = now + self._settings.lease_ttl_sec / RENEWALS_PER_TTL
            self._hold_lease()
        facts = self.progress.facts()
        # Once begun, consumers read the journal whoever holds the lease; only the feed needs it.
        self._has_led = self._has_led or self.progress.leader
        reading = [self._plan.reader] if self.progress.leader else []
        for child in [*reading, *self._plan.followers] if self._has_led else []:
            child.ensure_running(now)
            child.kill_hung(float(facts.get(child.name, {}).get("at", 0)))
            self.progress.restarts[child.name] = child.restarts
        if now >= self._health_at:
            self._health_at = now + self._settings.ws_health_interval_sec
            self._log_health(now)

    def _hold_lease(self) -> None:
        try:
            if self.progress.leader and self._lease.renew():
                return
            # Not held yet, or lapsed while Redis was away: acquire it if it is free.
            held = self._lease.acquire()
        except TransientError as error:
            # A Redis that is away gives the lease to no other sidecar: go on reading.
            log.warning("lease_unknown", reason=str(error))
            return
        except PermanentError as error:
            log.error("lease_refused", reason=str(error))
            return
        if held:
            save_fence(self._settings.journal_dir, Fence(self._lease.key, str(self._lease.fence)))
            if not self.progress.leader:
                log.info("lease_acquired", fence=self._lease.fence)
        elif self.progress.leader:
            log.error("lease_lost", next="the reader stops; this sidecar stands by")
            self._plan.reader.stop(READER_STOP_S)
        self.progress.leader = held

    def _log_health(self, now: float) -> None:
        log.info(
            "stream_health",
            leader=self.progress.leader,
            **self._line.facts(self.progress.facts(), now),
            restarts={name: count for name, count in self.progress.restarts.items() if count},
            problems=self.progress.problems(),
        )

    def _shut_down(self) -> None:
        log.info("sidecar_stopping")
        self._plan.reader.stop(READER_STOP_S)
        stoppers = [
            threading.Thread(target=_stop_child, args=(child,)) for child in self._plan.followers
        ]
        for stopper in stoppers:
            stopper.start()
        deadline = time.monotonic() + CONSUMER_STOP_S
        while any(stopper.is_alive() for stopper in stoppers) and time.monotonic() < deadline:
            # The consumers write under the lease until they have ended: keep it meanwhile.
            if time.monotonic() >= self._renew_at:
                self._renew_at = time.monotonic() + self._settings.lease_ttl_sec / RENEWALS_PER_TTL
                self._hold_lease()
            time.sleep(TICK_S / 5)
        for stopper in stoppers:
            stopper.join()
        try:
            if self.progress.leader:
                self._lease.release()
        except PlatformError as error:
            log.warning("lease_not_released", reason=str(error))
        self._values.close()
        log.info("sidecar_stopped")


def _stop_child(child: ManagedProcess) -> None:
    child.stop(CONSUMER_STOP_S)


def run(settings: Settings) -> int:
    """Run the sidecar until SIGTERM or SIGINT; return the exit code.

    Raise `PermanentError` when a setting is missing or wrong.
    """
    stream = settings.stream
    check_names(stream.stream_sinks)
    runtime.configure_logs(debug=stream.ws_debug)
    symbols = symbols_to_subscribe(settings, datetime.now(UTC).date())
    log.info("symbols_chosen", count="all" if symbols is None else len(symbols))
    supervisor = Supervisor(stream, plan_processes(settings, symbols))
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    return supervisor.run()


def stream_command() -> int:
    """Read the settings and run the sidecar; return 2 when a setting is missing or wrong."""
    try:
        return run(Settings.from_env(read_secret))
    except PlatformError as error:
        # Every loop of the sidecar handles its own errors: this one is of the start.
        sys.stderr.write(f"{error}\n")
        return WRONG_SETTINGS
