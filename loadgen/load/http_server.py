"""The load's own port, METRICS_PORT: /metrics for Prometheus, /health, and the control API."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections import Counter
from collections.abc import Callable, Mapping

import gevent
from flask import Flask, Response
from gevent.pywsgi import WSGIServer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from loadgen.config.settings import Settings
from loadgen.load.control_api import keep_order, make_door
from loadgen.load.journal import OWN, POSTED
from loadgen.load.metrics import LoadCollector, LoadState
from loadgen.load.run import Run
from loadgen.web_access import AccessControl

_LONGEST_LINGER = 20.0


class MetricsPort:
    """The open port of one load process."""

    def __init__(self, settings: Settings, run: Callable[[], Run | None]) -> None:
        """Listen on METRICS_HOST and METRICS_PORT; raises OSError if the address is taken."""
        self._scraped_at: float | None = None
        self._interval = 0.0  # between the last two scrapes, in seconds
        self._collector = LoadCollector(lambda: state_of(current) if (current := run()) else None)
        registry = CollectorRegistry()
        registry.register(self._collector)
        app = Flask("loadgen")
        keep_order(app)
        app.register_blueprint(make_door(run))

        @app.get("/metrics")
        def metrics() -> Response:
            self._note_scrape()
            return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

        @app.get("/health")
        def health() -> Response:
            return Response("ok\n", mimetype="text/plain")

        address = (settings.metrics_host, settings.metrics_port)
        protected = AccessControl(app, settings)
        self._server = WSGIServer(address, protected, log=None, error_log=None)
        self._server.start()

    def keep(self, run: Run) -> None:
        """Take over the counters of a run that has ended, before the next one begins."""
        self._collector.keep(state_of(run))

    def linger(self) -> None:
        """Wait for one more scrape, where somebody scrapes: the run's last counts would be lost."""
        last = self._scraped_at
        if last is None:
            return
        deadline = time.monotonic() + min(1.5 * self._interval, _LONGEST_LINGER)
        while self._scraped_at == last and time.monotonic() < deadline:
            gevent.sleep(0.05)

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(timeout=1)

    def _note_scrape(self) -> None:
        now = time.monotonic()
        if self._scraped_at is not None:
            self._interval = now - self._scraped_at
        self._scraped_at = now


def _by_known_kind(journaled: Mapping[str, int]) -> Counter[str]:
    """Count what others posted under kinds of theirs as one: labels are bounded."""
    counted: Counter[str] = Counter()
    for kind, n in journaled.items():
        counted[kind if kind in OWN | POSTED else "other"] += n
    return counted


def state_of(run: Run) -> LoadState:
    """Return a run's state of this moment, as the metrics show it."""
    controller, swarm = run.controller, run.controller.swarm
    return LoadState(
        run_id=controller.plan.run_id,
        seed=controller.plan.seed,
        profile=controller.live_changes.profile,
        targets=swarm.target_rates(),
        counts=swarm.counts(),
        failures=swarm.failures(),
        latencies=controller.latencies(),
        reconnects=swarm.reconnects(),
        users=run.users(),
        workers=swarm.workers(),
        journaled=_by_known_kind(controller.record.journaled),
        health=swarm.health(),
    )
