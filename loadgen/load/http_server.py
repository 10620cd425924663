"""The load's own port, METRICS_PORT: /metrics for Prometheus, /health, and the control API."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import gevent
from flask import Flask, Response
from gevent.pywsgi import WSGIServer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from loadgen.config.settings import Settings
from loadgen.load.control_api import control_api, keep_order
from loadgen.load.journal import OWN, POSTED
from loadgen.load.metrics import LoadCollector, LoadState
from loadgen.load.run import LoadTest
from loadgen.web_access import AccessControl

_LONGEST_LINGER = 20.0


class MetricsPort:
    """The open port of one load process."""

    _server: WSGIServer

    def __init__(self, collector: LoadCollector) -> None:
        self._collector = collector
        self._scraped_at: float | None = None
        self._interval = 0.0  # between the last two scrapes, in seconds

    @classmethod
    def open(
        cls, settings: Settings, operations: Collection[str], run: Callable[[], LoadTest | None]
    ) -> "MetricsPort":
        """Listen on METRICS_HOST and METRICS_PORT. Raises OSError if the address is taken."""
        port = cls(
            LoadCollector(operations, lambda: state_of(current) if (current := run()) else None)
        )
        registry = CollectorRegistry()
        registry.register(port._collector)
        app = Flask("loadgen")
        keep_order(app)
        app.register_blueprint(control_api(run))

        @app.get("/metrics")
        def metrics() -> Response:
            now = time.monotonic()
            if port._scraped_at is not None:
                port._interval = now - port._scraped_at
            port._scraped_at = now
            return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

        @app.get("/health")
        def health() -> Response:
            return Response("ok\n", mimetype="text/plain")

        address = (settings.metrics_host, settings.metrics_port)
        port._server = WSGIServer(address, AccessControl(app, settings), log=None, error_log=None)
        port._server.start()
        return port

    def keep(self, run: LoadTest) -> None:
        """Add the counters of a run that has ended, before the next one begins."""
        self._collector.keep(state_of(run))

    def linger(self) -> None:
        """Wait for one more scrape if there were any: the run's last counts would be lost."""
        last = self._scraped_at
        if last is None:
            return
        deadline = time.monotonic() + min(1.5 * self._interval, _LONGEST_LINGER)
        while self._scraped_at == last and time.monotonic() < deadline:
            gevent.sleep(0.05)


def _by_known_kind(journaled: Mapping[str, int]) -> Counter[str]:
    """Count entries by kind, all kinds that others invented as one: labels are bounded."""
    by_kind: Counter[str] = Counter()
    for kind, n in journaled.items():
        by_kind[kind if kind in OWN | POSTED else "other"] += n
    return by_kind


def state_of(run: LoadTest) -> LoadState:
    """Return a run's state of this moment, as the metrics show it."""
    controller, swarm = run.controller, run.controller.swarm
    return LoadState(
        run_id=controller.plan.run_id,
        seed=controller.plan.seed,
        profile=controller.live_changes.profile,
        targets=swarm.target_rates(),
        counts=swarm.counts(),
        failures=swarm.failures(),
        latencies=controller.sampler.update_latencies(),
        reconnects=swarm.reconnects(),
        users=run.user_count(),
        workers=swarm.process_count(),
        journaled=_by_known_kind(controller.record.journaled),
        health=swarm.health(),
    )
