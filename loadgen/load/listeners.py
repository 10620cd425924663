"""Locust's events, turned into a run: arguments, start, sampling, drain, exit code.

What decides anything is elsewhere (`controller`, `workload`); here is only when it happens.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import argparse
import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import gevent
from gevent.event import Event
from locust import events, runners
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner

from loadgen.config import thresholds
from loadgen.config.settings import DEFAULT_USERS, Settings, load_settings, misspelt
from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.load import console, forked, locust_patches, resume, web_tab, web_ui
from loadgen.load import options as arguments
from loadgen.load.control_api import keep_order, make_door, status
from loadgen.load.controller import RunController
from loadgen.load.http_server import MetricsPort
from loadgen.load.local_swarm import LocalSwarm
from loadgen.load.preflight import (
    LoadLock,
    prepare_source,
    require_metrics_port,
    require_page_port,
)
from loadgen.load.recovery import LOST_SECONDS
from loadgen.load.run import Run, options_of, runner_of
from loadgen.load.user import PostgresUser
from loadgen.load.worker import Worker
from loadgen.load.worker_swarm import WorkersSwarm
from loadgen.record.files import PRIVATE_UMASK
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.source.schema import migrate
from loadgen.terminal import guard_output
from loadgen.web_access import require_token
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.plan import Plan, new_run_id

logger = logging.getLogger(__name__)

_LOCK_INTERVAL = 2.0  # seconds between two looks at whether the load's lock is still held
# Workers are told the master's, and are ready for the next test only after that time.
_WORKER_STOP_SECONDS = 1.0
_STOP_SECONDS = 10.0  # how long Locust lets a user finish its write when users are reduced
# `timeout` signals its child twice, systemd may send SIGHUP after SIGTERM: that is one request.
_ONE_REQUEST_SECONDS = 1.0
_WAY_OUT_SECONDS = 240.0  # more than the time limits of drain, settling and last scrape together


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
    interrupted_at: float | None = None  # on the monotonic clock
    prepared = False  # whether the source is locked, and the ports are open
    shutting_down = False  # whether Locust's main greenlet has come to its end

    def __init__(self) -> None:
        self.heard: set[str] = set()  # a master's: workers that have sent a heartbeat
        self.not_starting = Event()  # clear while a run is being opened
        self.not_starting.set()


_state = Listeners()


def add_arguments(parser: argparse.ArgumentParser, **_: Any) -> None:
    """Give what is ours to Locust's command line and form; what this process writes is private."""
    guard_output()
    os.umask(PRIVATE_UMASK)
    try:
        arguments.add_arguments(parser)
    except SettingsError as exc:
        _exit(exc)


def prepare(environment: Environment, **_: Any) -> None:
    """Find the source, start and seed our own where none is named, and take the load's lock."""
    options = options_of(environment)
    runner = runner_of(environment)
    forked.ready(lambda number: _interrupt(environment, number))
    # The last to be added is the first to be called: before Locust tells its workers to quit.
    environment.events.quitting.add_listener(close)  # type: ignore[no-untyped-call]
    if isinstance(runner, locust_patches.LoadWorkerRunner):
        _prepare_worker(environment, runner)
        return
    atexit.register(forked.release_workers)
    if isinstance(runner, MasterRunner):
        # Locust's own view of a lost worker, a second after ours; users go to the others.
        runners.HEARTBEAT_LIVENESS = round(LOST_SECONDS)
        runner.quit = _once_begun(runner.quit)  # type: ignore[method-assign]
        listen = environment.events.heartbeat_sent.add_listener
        listen(lambda client_id, **_: _state.heard.add(client_id))  # type: ignore[no-untyped-call]
    if options.headless and not options.print_stats:
        options.only_summary = True
        logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    patience = _WORKER_STOP_SECONDS if isinstance(runner, MasterRunner) else _STOP_SECONDS
    environment.stop_timeout = environment.stop_timeout or patience
    locust_patches.apply()
    if options.json:
        console.leave_stdout()
    try:
        arguments.refuse_impossible(options)
        if options.tags or options.exclude_tags:
            _require_writers(environment)
        _state.settings = arguments.settings_with(options)
        _require_protection(environment)
        if environment.web_ui is not None:
            require_page_port(environment.web_ui.host, options.web_port)
        thresholds.load(_state.settings, OPERATIONS)  # refused now, not when a run begins
        console.warn_of_misspelt(misspelt())
        console.warn_of_options(arguments.without_effect(options))
        require_metrics_port(_state.settings)
        _lock_source(options)
        gevent.spawn(_keep_lock)
        _state.port = MetricsPort(_state.settings, lambda: _state.run)
    except PlaygroundError as exc:
        _exit(exc)
    _state.prepared = True
    PostgresUser.host = postgres.place(_state.dsn)
    if environment.web_ui is not None and environment.web_ui.app is not None:
        keep_order(environment.web_ui.app)
        base = options.web_base_path.rstrip("/")
        web_ui.protect(environment.web_ui.app, _state.settings, base)
        environment.web_ui.app.register_blueprint(make_door(lambda: _state.run, base))
        web_ui.guard(environment.web_ui.app, PostgresUser.host, _take_edits, base)
        web_ui.show_rates_in_force(environment.web_ui, options)
        web_tab.add(environment.web_ui, lambda: status(_state.run))


def _once_begun(leave: Callable[[], None]) -> Callable[[], None]:
    """Return what leaves once a run that is being opened has begun.

    Locust's timer begins before the run does: a run that is short has its time all the same.
    """

    def wait_and_leave() -> None:
        _state.not_starting.wait()
        leave()

    return wait_and_leave


def _require_protection(environment: Environment) -> None:
    """Refuse ports that other machines could drive the load by. Raises SettingsError."""
    options = options_of(environment)
    require_token(_state.settings, _state.settings.metrics_host, "METRICS_HOST")
    if environment.web_ui is None:
        return
    if options.web_login:
        raise SettingsError(
            "--web-login needs users that this load does not keep: set LOADGEN_WEB_TOKEN, and the "
            "page asks for it"
        )
    require_token(_state.settings, options.web_host, "--web-host")


def start(environment: Environment, **_: Any) -> None:
    """Open a run; where that is impossible, say why and let no user start."""
    options = options_of(environment)
    if options.worker:  # maybe before `prepare`: a master that runs tells a new worker at once
        return
    if _state.interrupted_at is not None:
        raise StopTest("interrupted: no run begins any more")
    _state.not_starting.clear()
    try:
        _start(environment, options)
    finally:
        _state.not_starting.set()


def _start(environment: Environment, options: argparse.Namespace) -> None:
    resumed, _state.resumed = _state.resumed, None
    if resumed is not None:
        resume.show_in_force(options, resumed)  # whatever a form says: an Edit can change it
    plan = _new_plan(options) if resumed is None else resumed.plan
    runner = runner_of(environment)
    options.enable_rebalancing = isinstance(runner, MasterRunner)
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
    controller = RunController(
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
        controller.begin() if resumed is None else controller.go_on(resumed)
    except PlaygroundError as exc:
        _state.beginning = False
        _state.resumed = resumed  # still to be done: the page may start it again
        console.print_error(exc)
        environment.process_exit_code = exc.exit_code
        if options.headless:
            gevent.spawn(runner_of(environment).quit)
        raise StopTest from exc
    _state.beginning, environment.process_exit_code = False, None
    _state.run = Run(environment, controller)
    console.print_opening(controller)


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


def drain(environment: Environment, **_: Any) -> None:
    """Finish what is under way before Locust stops a single user."""
    runner = runner_of(environment)
    if isinstance(runner, MasterRunner):
        # Locust would give the users of workers that leave meanwhile to the others.
        options_of(environment).enable_rebalancing = False
        runner._users_dispatcher = None  # noqa: SLF001 - as Locust does itself, after this
    else:
        # Locust's timer begins before the run does: a run that is short has its time all the same.
        _state.not_starting.wait()
    if _state.worker is not None:
        _state.worker.drain()
    if _state.run is not None:
        _state.run.finish()


def close(environment: Environment, **_: Any) -> None:
    """Finish what is still under way before Locust shuts down."""
    _state.shutting_down = True
    if _state.beginning and _state.interrupted_at is None:
        console.print_error(
            SourceError("the run was over before it began: the source did not answer in time")
        )
    drain(environment)
    locust_patches.complete_csv()
    if _state.run is not None:
        _state.port.linger()


def say(**_: Any) -> None:
    """Print the summary: the last thing a headless run says, after Locust's own words."""
    run = _state.run
    if run is not None and run.outcome is not None and run.headless:
        console.print_summary(run.outcome, run.controller)


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
        console.warn_of_kept(resume.not_taken(options, resumed))
        if options.num_users == DEFAULT_USERS:
            options.num_users = resumed.users
        resume.show_in_force(options, resumed)
        _state.resumed = resumed


def _require_writers(environment: Environment) -> None:
    """Refuse tags that leave no user with a task: such a load would write nothing."""
    environment._filter_tasks_by_tags()  # noqa: SLF001 - what Locust does at the start of a test
    if not any(kind.tasks for kind in environment.user_classes):
        raise SettingsError(
            "--tags and --exclude-tags leave no task to perform, and nothing would be written: "
            "leave them away, the rates (--orders-per-hour …) say what is written"
        )


def _take_edits() -> str:
    run = _state.run
    return "" if run is None else run.take_edits()


def _prepare_worker(environment: Environment, runner: locust_patches.LoadWorkerRunner) -> None:
    """Wait for what the master says, or for the parent of a forked worker to let it go."""
    try:
        _state.worker = Worker(runner, load_settings())
    except PlaygroundError as exc:
        _exit(exc)
    _state.prepared = True
    forked.when_released(lambda: _interrupt(environment, signal.SIGTERM))


def _keep_lock() -> None:
    """Take the load's lock again after a restart of the source; say it once if that fails."""
    held = True
    while True:
        gevent.sleep(_LOCK_INTERVAL)
        before, held = held, _state.lock.keep()
        if before and not held:
            console.print_error(SourceError("another load has taken the source: end one of them"))
            if _state.run is not None and not _state.run.finishing:
                _state.run.controller.journal("fault", what="lock_lost")


def _interrupt(environment: Environment, number: signal.Signals) -> None:
    """End early: drain, write the record, exit 130. A second Ctrl-C ends at once.

    Locust would raise KeyboardInterrupt inside whichever greenlet runs, in the middle of a write.
    """
    before, now = _state.interrupted_at, time.monotonic()
    if before is not None:
        if number == signal.SIGINT and now - before > _ONE_REQUEST_SECONDS:
            os._exit(forked.INTERRUPTED)
        return
    _state.interrupted_at = now
    forked.end_within(_WAY_OUT_SECONDS)
    if not _state.prepared:
        sys.exit(forked.INTERRUPTED)  # gevent raises it in the main greenlet, which prepares
    _state.not_starting.wait()
    run = _state.run
    if run is None:
        environment.process_exit_code = forked.INTERRUPTED
    elif run.outcome is None:
        run.interrupted = True
    drain(environment)
    runner_of(environment).quit()
    if environment.web_ui is not None:
        environment.web_ui.stop()  # type: ignore[no-untyped-call]  # Locust's, not ours
    gevent.sleep(_ONE_REQUEST_SECONDS)
    if not _state.shutting_down:  # Locust waits for workers, for ever
        sys.exit(environment.process_exit_code or forked.INTERRUPTED)


def _exit(exc: PlaygroundError) -> NoReturn:
    console.print_error(exc)
    sys.exit(exc.exit_code)


for _hook, _listener in (
    (events.init_command_line_parser, add_arguments),
    (events.init, prepare),
    (events.test_start, start),
    (events.test_stopping, drain),
    (events.quit, say),
):
    _hook.add_listener(_listener)  # type: ignore[no-untyped-call]  # Locust's, not ours
forked.listen()
locust_patches.patch_workers(_exit)
