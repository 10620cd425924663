"""Locust's events, turned into a run: arguments, start, sampling, drain, exit code.

What decides anything is elsewhere (`conductor`, `workload`); here is only when it happens.
"""

import locust  # isort: skip - first, since it patches the standard library
import argparse
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any, NoReturn

import gevent
import psycopg
from flask import Response, jsonify, request
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import WorkerRunner

from loadgen import locust_page, terminal
from loadgen.conductor import Conductor, Outcome, Plan, new_run_id
from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.settings import RATE_SETTINGS, Settings, load_settings
from loadgen.source import locate, postgres, schema
from loadgen.swarm import LocalSwarm
from loadgen.users import PostgresUser
from loadgen.workload.mix import OPERATIONS, Mix

logger = logging.getLogger(__name__)

_DEFAULT_USERS = 8
_STOP_SECONDS = 10.0  # how long Locust lets a user finish its write when users are reduced
# A sample a second for ten minutes, then one in ten seconds: fine where people look, small in 48 h.
_FINE_SECONDS, _FINE_INTERVAL, _COARSE_INTERVAL = 600.0, 1.0, 10.0
_EDIT_POLL_SECONDS = 0.2


class Run:
    """One test, from Locust's start to its stop."""

    def __init__(self, environment: Environment, conductor: Conductor) -> None:
        self.conductor = conductor
        self.interrupted = False
        self.headless = environment.parsed_options.headless
        self.outcome: Outcome | None = None
        self._environment = environment
        self._finished = Event()
        self._finishing = False
        self._failures: dict[tuple[str, str], int] = {}
        self._greenlets = [gevent.spawn(self._sample), gevent.spawn(self._watch_edits)]

    def finish(self) -> None:
        """Drain and close the record, once; a second caller waits for the first."""
        if self._finishing:
            self._finished.wait()
            return
        self._finishing = True
        conductor = self.conductor
        left = conductor.plan.duration - conductor.swarm.now()
        if 0 < left < 1 and not self.interrupted:
            gevent.sleep(left)  # Locust's timer starts a moment before the schedule does
        gevent.killall(self._greenlets)
        try:
            self.outcome = conductor.finish(interrupted=self.interrupted)
            self._feed_page()
            self._environment.process_exit_code = self.outcome.exit_code
            if not self.headless:
                terminal.print_summary(self.outcome, conductor)
        except PlaygroundError as exc:
            terminal.print_error(exc)
            self._environment.process_exit_code = exc.exit_code
        finally:
            self._finished.set()

    def _sample(self) -> None:
        """Sample at whole seconds of schedule time, and stop the test at its deadline."""
        conductor, swarm = self.conductor, self.conductor.swarm
        while (now := swarm.now()) < 0:
            gevent.sleep(0.005)
        said = terminal.Activity()
        while now < conductor.plan.duration:
            interval = _FINE_INTERVAL if now < _FINE_SECONDS else _COARSE_INTERVAL
            gevent.sleep(min((now // interval + 1) * interval, conductor.plan.duration) - now)
            counts = conductor.sample()
            self._feed_page()
            now = swarm.now()
            said.line(now, counts, swarm.asked())
        if not self.headless:
            # Locust's page forgets its own timer at an Edit; headless it keeps it.
            gevent.spawn(self._environment.runner.stop)

    def _feed_page(self) -> None:
        failures = dict(self.conductor.swarm.failures())
        new = {key: n - self._failures.get(key, 0) for key, n in failures.items()}
        self._failures = failures
        stats = self._environment.stats
        locust_page.feed(stats, self.conductor.last_service, new)
        locust_page.prune(stats)

    def _watch_edits(self) -> None:
        """Put rates in force that the Edit form has changed: Locust fires no event for it."""
        while True:
            gevent.sleep(_EDIT_POLL_SECONDS)
            mix = _mix(self._environment.parsed_options)
            if mix != self.conductor.plan.mix:
                self.conductor.change_rates(mix, by="page")


class Listeners:
    """What one Locust process remembers between events."""

    settings: Settings
    dsn: str
    lock: psycopg.Connection
    run: Run | None = None


_state = Listeners()


@events.init_command_line_parser.add_listener
def add_arguments(parser: argparse.ArgumentParser, **_: Any) -> None:
    """Give the four rates to the command line and the page; defaults come from the settings."""
    try:
        settings = load_settings()
    except SettingsError as exc:
        _exit(exc)
    group = parser.add_argument_group("Arrival rates (per hour, for the whole swarm)")
    for operation, name in RATE_SETTINGS.items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=_rate(name),
            default=getattr(settings, name),
            metavar="<float>",
            help=f"{operation} per hour (setting {name.upper()})",
        )
    parser.set_defaults(
        num_users=_DEFAULT_USERS,
        spawn_rate=100.0,
        run_time=round(settings.test_duration_hours * 3600),
        web_host="127.0.0.1",
    )


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Find the source, start and seed our own where none is named, and take the load's lock."""
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options.master:
        _exit(SourceError("several processes are not supported yet: run without --processes"))
    if options.headless and not options.print_stats:
        options.only_summary = True
        logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    environment.stop_timeout = environment.stop_timeout or _STOP_SECONDS
    try:
        _state.settings = load_settings(_overrides(options))
        _state.dsn = _source(_state.settings)
        _state.lock = _lock(_state.dsn)
    except PlaygroundError as exc:
        _exit(exc)
    PostgresUser.host = postgres.mask(_state.dsn)
    if environment.web_ui is not None:
        environment.web_ui.app.before_request(_refuse_bad_form)
    gevent.signal_handler(signal.SIGINT, _interrupt, environment)


@events.test_start.add_listener
def start(environment: Environment, **_: Any) -> None:
    """Open a run; where that is impossible, say why and let no user start."""
    options = environment.parsed_options
    settings = _state.settings
    plan = Plan(
        run_id=new_run_id(),
        seed=settings.seed,
        arrivals=settings.arrivals,
        profile=settings.profile,
        mix=_mix(options),
        duration=float(options.run_time or settings.test_duration_hours * 3600),
        lateness_limit=settings.lateness_limit_seconds,
        event_bytes=settings.event_bytes,
        hot_users=settings.hot_users,
    )
    conductor = Conductor(settings, _state.dsn, LocalSwarm(_state.dsn), plan, options.num_users)
    try:
        conductor.begin()
    except PlaygroundError as exc:
        terminal.print_error(exc)
        environment.process_exit_code = exc.exit_code
        if options.headless:
            gevent.spawn(environment.runner.quit)
        raise StopTest from exc
    _state.run = Run(environment, conductor)
    terminal.print_opening(conductor)


@events.test_stopping.add_listener
def drain(**_: Any) -> None:
    """Finish what is under way before Locust stops a single user."""
    if _state.run is not None:
        _state.run.finish()


@events.quitting.add_listener
def close(**_: Any) -> None:
    """SIGTERM comes here without a stop before it: the run ends early, as at Ctrl-C."""
    if _state.run is not None and _state.run.outcome is None:
        _state.run.interrupted = True
    drain()


@events.quit.add_listener
def say(**_: Any) -> None:
    """The summary is the last thing a headless run says, after Locust's own words."""
    run = _state.run
    if run is not None and run.outcome is not None and run.headless:
        terminal.print_summary(run.outcome, run.conductor)


def _interrupt(environment: Environment) -> None:
    """Ctrl-C: drain, write the record, exit 130. A second one ends at once.

    Locust would raise KeyboardInterrupt inside whichever greenlet runs, in the middle of a write.
    """
    if _state.run is not None and not _state.run.interrupted:
        _state.run.interrupted = True
    elif _state.run is not None:
        os._exit(130)
    environment.process_exit_code = 130
    environment.runner.quit()
    if environment.web_ui is not None:
        environment.web_ui.stop()


def _source(settings: Settings) -> str:
    """Return the DSN of a seeded source. With DATABASE_URL nothing is seeded: that is asked for."""
    if settings.database_url is None:
        # A process of its own, not patched by gevent: starts, migrates, seeds, shows progress.
        done = subprocess.run([sys.executable, "-m", "loadgen", "seed"], check=False)  # noqa: S603
        if done.returncode:
            sys.exit(done.returncode)
    dsn = locate.source_dsn(settings, start=False)
    with postgres.connect(dsn) as connection:
        schema.check_source(connection)
        state = schema.seed_state(connection)
    if state is None or not state.progress.get("complete"):
        raise SourceError("the source holds no complete baseline: run `loadgen seed` first")
    return dsn


def _lock(dsn: str) -> psycopg.Connection:
    """Hold the load's lock for as long as this process lives: one load a database."""
    connection = postgres.connect(dsn)
    row = connection.execute("SELECT pg_try_advisory_lock(hashtext('loadgen load'))").fetchone()
    if row is None or not row[0]:
        raise SourceError(f"another load runs against {postgres.mask(dsn)}: stop it first")
    return connection


def _mix(options: argparse.Namespace) -> Mix:
    return Mix({name: float(getattr(options, RATE_SETTINGS[name])) for name in OPERATIONS})


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(options, name) for name in RATE_SETTINGS.values()}


def _rate(name: str) -> Any:
    """Return the argument type of a rate: the settings' own check, said by argparse."""

    def rate(text: str) -> float:
        try:
            return float(getattr(load_settings({name: text}), name))
        except SettingsError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return rate


def _refuse_bad_form() -> Response | None:
    """Check a posted form whole before Locust applies any of it field by field."""
    if request.method != "POST" or not request.path.endswith("/swarm"):
        return None
    posted = {k: v for k, v in request.form.items() if k in RATE_SETTINGS.values()}
    try:
        load_settings(posted)
    except SettingsError as exc:
        return jsonify({"success": False, "message": str(exc), "host": PostgresUser.host})
    return None


def _exit(exc: PlaygroundError) -> NoReturn:
    terminal.print_error(exc)
    sys.exit(exc.exit_code)
