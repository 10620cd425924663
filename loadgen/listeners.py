"""Locust's events, turned into a run: arguments, start, sampling, drain, exit code.

What decides anything is elsewhere (`conductor`, `workload`); here is only when it happens.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import argparse
import logging
import os
import signal
import sys
from typing import Any, NoReturn

import gevent
from locust import events, runners
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner, WorkerRunner

from loadgen import arguments, thresholds
from loadgen.door import keep_order, make_door, status
from loadgen.engine import resume, terminal
from loadgen.engine.conductor import Conductor
from loadgen.engine.readiness import (
    LoadLock,
    prepare_source,
    require_metrics_port,
    require_page_port,
)
from loadgen.engine.remote import LOST_SECONDS
from loadgen.engine.run import Run, options_of, runner_of
from loadgen.engine.swarm import LocalSwarm
from loadgen.engine.worker import Worker
from loadgen.engine.workers import WorkersSwarm
from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.metrics_port import MetricsPort
from loadgen.page import locust_page, locust_tab
from loadgen.settings import Settings, load_settings, misspelt
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.source.schema import migrate
from loadgen.users import PostgresUser
from loadgen.workload.plan import Plan, new_run_id

logger = logging.getLogger(__name__)

_LOCK_INTERVAL = 2.0  # seconds between two looks at whether the load's lock is still held
# Workers are told the master's, and are ready for the next test only after that time.
_WORKER_STOP_SECONDS = 1.0
_STOP_SECONDS = 10.0  # how long Locust lets a user finish its write when users are reduced


class Listeners:
    """What one Locust process remembers between events."""

    settings: Settings
    dsn: str
    lock: LoadLock
    port: MetricsPort
    resumed: resume.Resumed | None = None  # until its run has begun
    run: Run | None = None
    beginning = False  # a run is being readied
    worker: Worker | None = None  # in a worker process only

    def __init__(self) -> None:
        self.heard: set[str] = set()  # a master's: workers that have sent a heartbeat


_state = Listeners()


def add_arguments(parser: argparse.ArgumentParser, **_: Any) -> None:
    """Give what is ours to Locust's command line and form."""
    try:
        arguments.add_arguments(parser)
    except SettingsError as exc:
        _exit(exc)


def prepare(environment: Environment, **_: Any) -> None:
    """Find the source, start and seed our own where none is named, and take the load's lock."""
    options = options_of(environment)
    runner = runner_of(environment)
    if isinstance(runner, WorkerRunner):
        _prepare_worker(environment, runner)
        return
    if isinstance(runner, MasterRunner):
        # Locust's own view of a lost worker, a second after ours; users go to the others.
        runners.HEARTBEAT_LIVENESS = round(LOST_SECONDS)
        options.enable_rebalancing = True
        listen = environment.events.heartbeat_sent.add_listener
        listen(lambda client_id, **_: _state.heard.add(client_id))  # type: ignore[no-untyped-call]
    if options.headless and not options.print_stats:
        options.only_summary = True
        logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    patience = _WORKER_STOP_SECONDS if isinstance(runner, MasterRunner) else _STOP_SECONDS
    environment.stop_timeout = environment.stop_timeout or patience
    try:
        if environment.web_ui is not None:
            require_page_port(options.web_host, options.web_port)
        _state.settings = arguments.settings_with(options)
        thresholds.load(_state.settings)  # refused now, not when a run begins
        terminal.warn_of_misspelt(misspelt())
        require_metrics_port(_state.settings)
        _lock_source(options)
        gevent.spawn(_keep_lock)
        _state.port = MetricsPort(
            _state.settings.metrics_host, _state.settings.metrics_port, lambda: _state.run
        )
    except PlaygroundError as exc:
        _exit(exc)
    except KeyboardInterrupt:
        sys.exit(130)
    PostgresUser.host = postgres.place(_state.dsn)
    if environment.web_ui is not None and environment.web_ui.app is not None:
        keep_order(environment.web_ui.app)
        environment.web_ui.app.register_blueprint(make_door(lambda: _state.run))
        locust_page.guard(environment.web_ui.app, _take_edits)
        locust_page.show_rates_in_force(environment.web_ui, options)
        locust_tab.add(environment.web_ui, lambda: status(_state.run))
    gevent.signal_handler(signal.SIGINT, _interrupt, environment)


def start(environment: Environment, **_: Any) -> None:
    """Open a run; where that is impossible, say why and let no user start."""
    options = options_of(environment)
    if options.worker:  # maybe before `prepare`: a master that runs tells a new worker at once
        return
    resumed, _state.resumed = _state.resumed, None
    if resumed is not None:
        resume.show_in_force(options, resumed)  # whatever a form says: an Edit can change it
    plan = _new_plan(options) if resumed is None else resumed.plan
    runner = runner_of(environment)
    swarm = (
        WorkersSwarm(runner, _state.dsn, _state.heard)
        if isinstance(runner, MasterRunner)
        else LocalSwarm(_state.dsn, _state.lock.session)
    )
    if _state.run is not None:
        _state.port.keep(_state.run)
        _state.run = None
    # The lock's session, one of each hard case, and where each worker looks up its lost writes.
    beside = 1 + len(options.hard_cases)
    beside += runner.worker_count if isinstance(runner, MasterRunner) else 0
    conductor = Conductor(
        _state.settings,
        _state.dsn,
        swarm,
        plan,
        options.num_users,
        _state.lock.session,
        beside,
    )
    # Locust's timer runs already: where it ends the process first, nothing was done.
    _state.beginning, environment.process_exit_code = True, SourceError.exit_code
    try:
        conductor.begin() if resumed is None else conductor.go_on(resumed)
    except PlaygroundError as exc:
        _state.beginning = False
        _state.resumed = resumed  # still to be done: the page may start it again
        terminal.print_error(exc)
        environment.process_exit_code = exc.exit_code
        if options.headless:
            gevent.spawn(runner_of(environment).quit)
        raise StopTest from exc
    _state.beginning, environment.process_exit_code = False, None
    _state.run = Run(environment, conductor)
    terminal.print_opening(conductor)


def _new_plan(options: argparse.Namespace) -> Plan:
    """Return what Locust's options and the settings ask for."""
    settings = _state.settings
    mix, profile = arguments.asked_by(options)
    return Plan(
        run_id=new_run_id(),
        seed=settings.seed,
        arrivals=settings.arrivals,
        profile=profile,
        mix=mix,
        duration=float(options.run_time or settings.test_duration_hours * 3600),
        lateness_limit=settings.lateness_limit_seconds,
        event_bytes=settings.event_bytes,
        hot_users=settings.hot_users,
        pipeline_depth=settings.pipeline_depth,
    )


def drain(**_: Any) -> None:
    """Finish what is under way before Locust stops a single user."""
    if _state.worker is not None:
        _state.worker.drain()
    if _state.run is not None:
        _state.run.finish()


def close(**_: Any) -> None:
    """SIGTERM comes here without a stop before it: the run ends early, as at Ctrl-C."""
    if _state.beginning:
        terminal.print_error(
            SourceError("the run was over before it began: the source did not answer in time")
        )
    if _state.run is not None and _state.run.outcome is None:
        _state.run.interrupted = True
    drain()
    if _state.run is not None:
        _state.port.linger()


def say(**_: Any) -> None:
    """Print the summary: the last thing a headless run says, after Locust's own words."""
    run = _state.run
    if run is not None and run.outcome is not None and run.headless:
        terminal.print_summary(run.outcome, run.conductor)


def _lock_source(options: argparse.Namespace) -> None:
    """Find the source and lock it; a run to go on with is looked for first, and taken over."""
    settings, resumed = _state.settings, None
    if options.resume is not None:
        resumed = resume.find_resumable(settings.reports_dir, options.resume)
    _state.dsn = prepare_source(settings, may_seed=resumed is None)
    _state.lock = LoadLock(_state.dsn)
    if options.hard_cases:  # a source that was seeded earlier may lack their table
        with (
            postgres.connect(_state.dsn) as connection,
            first_write(connection, "making the schema"),
        ):
            migrate(connection)
    if resumed is not None:
        resume.take_possession(_state.lock.connection, resumed)
        terminal.warn_of_kept(resume.not_taken(options, resumed))
        if options.num_users == arguments.DEFAULT_USERS:
            options.num_users = resumed.users
        resume.show_in_force(options, resumed)
        _state.resumed = resumed


def _take_edits() -> str:
    run = _state.run
    return "" if run is None else run.take_edits()


def _prepare_worker(environment: Environment, runner: WorkerRunner) -> None:
    """Wait for what the master says; Ctrl-C is the master's to act on, a second one is ours."""
    try:
        _state.worker = Worker(runner, load_settings())
    except PlaygroundError as exc:
        _exit(exc)
    interrupts = iter([not options_of(environment).processes])

    def interrupt() -> None:
        if next(interrupts, True):
            runner.quit()

    gevent.signal_handler(signal.SIGINT, interrupt)


def _keep_lock() -> None:
    """Take the load's lock again after a restart of the source; say it once if that fails."""
    held = True
    while True:
        gevent.sleep(_LOCK_INTERVAL)
        before, held = held, _state.lock.keep()
        if before and not held:
            terminal.print_error(SourceError("another load has taken the source: end one of them"))
            if _state.run is not None and not _state.run.finishing:
                _state.run.conductor.journal("fault", what="lock_lost")


def _interrupt(environment: Environment) -> None:
    """Ctrl-C: drain, write the record, exit 130. A second one ends at once.

    Locust would raise KeyboardInterrupt inside whichever greenlet runs, in the middle of a write.
    """
    run = _state.run
    if run is not None and run.outcome is None:
        if run.interrupted:
            os._exit(130)
        run.interrupted = True
    elif environment.web_ui is None:
        environment.process_exit_code = 130  # nothing has begun yet
    runner_of(environment).quit()
    if environment.web_ui is not None:
        environment.web_ui.stop()  # type: ignore[no-untyped-call]  # Locust's, not ours


def _exit(exc: PlaygroundError) -> NoReturn:
    terminal.print_error(exc)
    sys.exit(exc.exit_code)


for _hook, _listener in (
    (events.init_command_line_parser, add_arguments),
    (events.init, prepare),
    (events.test_start, start),
    (events.test_stopping, drain),
    (events.quitting, close),
    (events.quit, say),
):
    _hook.add_listener(_listener)  # type: ignore[no-untyped-call]  # Locust's, not ours
