"""Locust's events, turned into runs: arguments, start, sampling, drain, exit code.

This module decides only when things happen; `controller` and `workload` decide what.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import argparse
import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import gevent
from gevent.event import Event
from locust import events, runners
from locust.env import Environment
from locust.event import EventHook
from locust.exception import StopTest
from locust.runners import MasterRunner

from loadgen.config import thresholds
from loadgen.config.settings import (
    DEFAULT_USERS,
    Settings,
    load_settings,
    misspelt,
)
from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.load import console, forked, locust_patches, resume, web_ui
from loadgen.load import options as arguments
from loadgen.load.control_api import control_api, keep_order
from loadgen.load.controller import RunController, begin_run, resume_run
from loadgen.load.hard_cases import HardCases
from loadgen.load.http_server import MetricsPort
from loadgen.load.load_tab import load_tab
from loadgen.load.local_swarm import LocalSwarm
from loadgen.load.preflight import (
    LoadLock,
    prepare_source,
    require_metrics_port,
    require_page_port,
)
from loadgen.load.recovery import LOST_SECONDS
from loadgen.load.run import LoadTest, options_of, runner_of
from loadgen.load.run_keys import shortages
from loadgen.load.swarm import Swarm
from loadgen.load.user import PostgresUser
from loadgen.load.worker import Worker
from loadgen.load.worker_swarm import WorkersSwarm
from loadgen.record.files import PRIVATE_UMASK
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.source.schema import migrate
from loadgen.terminal import guard_output
from loadgen.web_access import require_token
from loadgen.workload.model import Operation, WorkloadModel
from loadgen.workload.operations import operations_of, require_profile
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.plan import Plan, new_run_id

_LOCK_INTERVAL = 2.0  # seconds between two checks that the load's lock is still ours
# Workers use the master's, and are ready for the next test only after that time.
_WORKER_STOP_SECONDS = 1.0
_STOP_SECONDS = 10.0  # how long Locust lets a user finish its write when users are reduced
# `timeout` signals its child twice, systemd may send SIGHUP after SIGTERM: that is one request.
_ONE_REQUEST_SECONDS = 1.0
_SHUTDOWN_SECONDS = 240.0  # more than the time limits of drain, settling and last scrape together


class LoadProcess:
    """One Locust process (master, worker or alone): its listeners and their common state.

    A worker has neither settings nor lock nor port, but a `worker`.
    """

    settings: Settings
    model: WorkloadModel
    operations: Mapping[str, Operation]
    dsn: str
    lock: LoadLock
    port: MetricsPort

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.options = options_of(environment)
        self.runner = runner_of(environment)
        self.worker: Worker | None = None
        self.run: LoadTest | None = None
        self.resumed: resume.Resumed | None = None  # until its run has begun
        self.interrupted_at: float | None = None  # on the monotonic clock
        self.prepared = False  # whether the source is locked, and the ports are open
        self.beginning = False  # a run is being opened
        self.shutting_down = False  # Locust's main greenlet has come to its end
        self.reported: set[str] = set()  # a master's: workers that have sent a heartbeat
        self.not_starting = Event()  # clear while a run is being opened
        self.not_starting.set()

    def prepare(self) -> None:
        """Find the source, start and seed our own if none is named, and take the load's lock."""
        options, web = self.options, self.environment.web_ui
        atexit.register(forked.release_workers)
        if isinstance(self.runner, MasterRunner):
            # Locust's own view of a lost worker, a second after ours; users go to the others.
            runners.HEARTBEAT_LIVENESS = round(LOST_SECONDS)
            self.runner.quit = self._once_begun(self.runner.quit)  # type: ignore[method-assign]
            listen = self.environment.events.heartbeat_sent.add_listener
            listen(lambda client_id, **_: self.reported.add(client_id))  # type: ignore[no-untyped-call]
        if options.headless and not options.print_stats:
            options.only_summary = True
            logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
        is_master = isinstance(self.runner, MasterRunner)
        patience = _WORKER_STOP_SECONDS if is_master else _STOP_SECONDS
        self.environment.stop_timeout = self.environment.stop_timeout or patience
        locust_patches.apply()
        # Raised to refuse a run, which has been explained in a line: gevent prints no traceback.
        gevent.get_hub().NOT_ERROR += (StopTest,)
        arguments.refuse_impossible(options)
        if options.tags or options.exclude_tags:
            self._require_writers()
        self.model = read_model(load_settings().workload)
        self.operations = operations_of(load_settings())
        self.settings = arguments.settings_with(options, self.operations)
        self._require_protection()
        if web is not None:
            base = options.web_base_path.rstrip("/")
            require_page_port(self.settings, web.host, options.web_port, base)
        thresholds.load(self.settings, self.operations)  # refused now, not when a run begins
        console.warn_of_misspelt(misspelt())
        for warning in arguments.ignored_options(options):
            console.print_warning(warning)
        require_metrics_port(self.settings)
        self._lock_source()
        gevent.spawn(self._keep_lock)
        self.port = MetricsPort.open(self.settings, self.operations, lambda: self.run)
        self.prepared = True
        PostgresUser.host = postgres.place(self.dsn)
        if web is not None and web.app is not None:
            base = options.web_base_path.rstrip("/")
            keep_order(web.app)
            web_ui.protect(web.app, self.settings, base)
            web.app.register_blueprint(control_api(lambda: self.run, base))
            web.app.register_blueprint(load_tab(lambda: self.run, base))
            web_ui.guard(web.app, self.operations, PostgresUser.host, self._take_edits, base)
            web_ui.show_current_rates(web, options, self.operations)
            web_ui.offer_mixes(web, self.settings, self.operations)
            web_ui.add_load_tab(web)
            web_ui.show_starts(web.app, lambda: not self.not_starting.is_set())

    def prepare_worker(self, runner: locust_patches.LoadWorkerRunner) -> None:
        """Listen to the master, and for a forked worker to the parent that lets it go."""
        self.worker = Worker(runner, load_settings())
        self.worker.start()
        self.prepared = True
        forked.when_released(lambda: self.interrupt(signal.SIGTERM))

    def start(self, **_: object) -> None:
        """Open a run; if that is impossible, print why and let no user start."""
        if self.interrupted_at is not None:
            raise StopTest("interrupted: no run begins any more")
        self.not_starting.clear()
        try:
            self._start()
        finally:
            self.not_starting.set()

    def _start(self) -> None:
        resumed, self.resumed = self.resumed, None
        if resumed is not None:
            # Whatever a form has: an Edit can change it.
            resume.fill_in_resumed(self.options, self.operations, resumed)
        if self.run is not None:
            self.port.keep(self.run)
            self.run = None
        # Locust's timer runs already: if it ends the process first, nothing was done.
        self.beginning, self.environment.process_exit_code = True, SourceError.exit_code
        try:
            controller = self._open_run(resumed)
        except PlaygroundError as exc:
            self.beginning = False
            self.resumed = resumed  # the page may start it again
            console.print_error(exc)
            self.environment.process_exit_code = exc.exit_code
            if self.options.headless:
                gevent.spawn(self.runner.quit)
            raise StopTest("no run began") from exc
        self.beginning, self.environment.process_exit_code = False, None
        hard_cases = None
        if names := self.options.hard_cases:
            live_changes = controller.live_changes
            hard_cases = HardCases(
                self.dsn,
                self.settings,
                names,
                lambda: live_changes.paused is not None,
                controller.record.now,
            )
        self.run = LoadTest(self.environment, controller, hard_cases)
        self.run.start()

    def _open_run(self, resumed: resume.Resumed | None) -> RunController:
        """Begin a new run, or the resumed one. Raises PlaygroundError."""
        self.options.enable_rebalancing = isinstance(self.runner, MasterRunner)
        session, users = self.lock.session, self.options.num_users
        # The lock's session, one of each hard case, and where each worker looks up its lost writes.
        others = 1 + len(self.options.hard_cases)
        swarm: Swarm
        if isinstance(self.runner, MasterRunner):
            swarm = WorkersSwarm(self.runner, self.dsn, self.reported, self.model)
            others += self.runner.worker_count
        else:
            swarm = LocalSwarm(self.dsn, session, self.model)
        if resumed is not None:
            return resume_run(self.settings, self.model, session, swarm, resumed, users, others)
        plan = self._new_plan()
        controller = begin_run(self.settings, self.model, session, swarm, plan, users, others)
        for warning in shortages(controller.plan, self.model):
            console.print_warning(warning)
        return controller

    def _new_plan(self) -> Plan:
        """Return the plan that Locust's options and the settings make."""
        settings = self.settings
        mix, profile = arguments.wanted_by(self.options, self.operations)
        require_profile(profile, self.model.profile)  # a form's is any that exists
        return Plan(
            run_id=new_run_id(),
            seed=settings.seed,
            arrivals=settings.arrivals,
            profile=profile,
            mix=mix,
            duration=float(self.options.run_time or settings.test_duration_hours * 3600),
            lateness_limit=settings.lateness_limit_seconds,
            pipeline_depth=settings.pipeline_depth,
            load_loop=settings.load_loop,
            own_profile=self.model.profile,
        )

    def drain(self, **_: object) -> None:
        """Finish all writes under way before Locust stops the first user."""
        if isinstance(self.runner, MasterRunner):
            # Locust would give the users of workers that leave meanwhile to the others.
            self.options.enable_rebalancing = False
            self.runner._users_dispatcher = None  # noqa: SLF001 - as Locust does itself, after this
        else:
            # Locust's timer begins before the run does: a short run has its time all the same.
            self.not_starting.wait()
        if self.worker is not None:
            self.worker.drain()
        if self.run is not None:
            self.run.finish()

    def close(self, **_: object) -> None:
        """Finish the run before Locust shuts down."""
        self.shutting_down = True
        if self.beginning and self.interrupted_at is None:
            console.print_error(
                SourceError("the run was over before it began: the source did not answer in time")
            )
        self.drain()
        locust_patches.complete_csv()
        if self.run is not None:
            self.port.linger()

    def print_summary(self, **_: object) -> None:
        """Print a headless run's summary, after Locust's own statistics."""
        run = self.run
        if run is not None and run.outcome is not None and run.headless:
            run.console.print_summary(run.outcome)

    def interrupt(self, number: signal.Signals) -> None:
        """End early: drain, write the record, exit 130. A second Ctrl-C ends at once.

        Locust would raise KeyboardInterrupt inside whichever greenlet runs, in the middle of a
        write.
        """
        before, now = self.interrupted_at, time.monotonic()
        if before is not None:
            if number == signal.SIGINT and now - before > _ONE_REQUEST_SECONDS:
                os._exit(forked.INTERRUPTED)
            return
        self.interrupted_at = now
        forked.end_within(_SHUTDOWN_SECONDS)
        if not self.prepared:
            sys.exit(forked.INTERRUPTED)  # gevent raises it in the main greenlet, which prepares
        self.not_starting.wait()
        run = self.run
        if run is None:
            self.environment.process_exit_code = forked.INTERRUPTED
        elif run.outcome is None:
            run.interrupted = True
        self.drain()
        self.runner.quit()
        if self.environment.web_ui is not None:
            self.environment.web_ui.stop()  # type: ignore[no-untyped-call]  # Locust's, not ours
        gevent.sleep(_ONE_REQUEST_SECONDS)
        if not self.shutting_down:  # Locust waits for workers, for ever
            sys.exit(self.environment.process_exit_code or forked.INTERRUPTED)

    def _once_begun(self, leave: Callable[[], None]) -> Callable[[], None]:
        """Return a function that leaves once a run that is being opened has begun.

        Locust's timer begins before the run does: a short run has its time all the same.
        """

        def wait_and_leave() -> None:
            self.not_starting.wait()
            leave()

        return wait_and_leave

    def _require_protection(self) -> None:
        """Refuse ports by which other machines could drive the load. Raises SettingsError."""
        require_token(self.settings, self.settings.metrics_host, "METRICS_HOST")
        if self.environment.web_ui is None:
            return
        if self.options.web_login:
            raise SettingsError(
                "--web-login needs users that this load does not keep: set LOADGEN_WEB_TOKEN, and "
                "the page asks for it"
            )
        require_token(self.settings, self.options.web_host, "--web-host")

    def _require_writers(self) -> None:
        """Refuse tags that leave no user with a task: such a load would write nothing."""
        self.environment._filter_tasks_by_tags()  # noqa: SLF001 - as Locust does at a test's start
        if not any(kind.tasks for kind in self.environment.user_classes):
            raise SettingsError(
                "--tags and --exclude-tags leave no task to perform, so nothing would be written: "
                "omit them; the rates (--orders-per-hour …) are the mix"
            )

    def _lock_source(self) -> None:
        """Find the source and lock it; find a run to resume before that, and fence it after."""
        options, resumed = self.options, None
        if options.resume is not None:
            reports_dir = self.settings.reports_dir
            resumed = resume.find_resumable(reports_dir, options.resume, self.model)
        self.dsn = prepare_source(self.settings, self.model, may_seed=resumed is None)
        self.lock = LoadLock.open(self.dsn)
        if options.hard_cases:  # a source that was seeded earlier may lack their table
            with (
                postgres.connect(self.dsn) as connection,
                first_write(connection, "making the schema"),
            ):
                migrate(connection, self.model)
        if resumed is not None:
            resume.fence_killed_run(self.lock.connection, resumed)
            ignored = resume.ignored_settings(options, self.model, resumed, load_settings())
            console.warn_of_ignored_settings(ignored)
            if options.num_users == DEFAULT_USERS:
                options.num_users = resumed.users
            resume.fill_in_resumed(options, self.operations, resumed)
            self.resumed = resumed

    def _take_edits(self) -> str:
        return "" if self.run is None else self.run.take_edits()

    def _keep_lock(self) -> None:
        """Take the load's lock again after a restart of the source; print once if that fails."""
        held = True
        while True:
            gevent.sleep(_LOCK_INTERVAL)
            held_before, held = held, self.lock.keep()
            if held_before and not held:
                console.print_error(
                    SourceError("another load has taken the source: end one of them")
                )
                if self.run is not None and not self.run.finishing:
                    self.run.controller.sampler.journal.note("fault", {"what": "lock_lost"})


def add_arguments(parser: argparse.ArgumentParser, **_: object) -> None:
    """Add our arguments to Locust's command line and form; this process's files are private."""
    guard_output()
    os.umask(PRIVATE_UMASK)
    try:
        arguments.add_arguments(parser)
    except SettingsError as exc:
        _exit(exc)


def prepare(environment: Environment, **_: object) -> None:
    """Register the listeners of this process, and prepare it."""
    process, hooks = LoadProcess(environment), environment.events
    forked.ready(process.interrupt)
    _listen(hooks.test_stopping, process.drain)
    # The last to be added is the first to be called: before Locust tells its workers to quit.
    _listen(hooks.quitting, process.close)
    try:
        if isinstance(process.runner, locust_patches.LoadWorkerRunner):
            process.prepare_worker(process.runner)
            return
        _listen(hooks.test_start, process.start)
        _listen(hooks.quit, process.print_summary)
        process.prepare()
    except PlaygroundError as exc:
        _exit(exc)


def _listen(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust's, not ours


def _exit(exc: PlaygroundError) -> NoReturn:
    console.print_error(exc)
    sys.exit(exc.exit_code)


_listen(events.init_command_line_parser, add_arguments)
_listen(events.init, prepare)
forked.listen()
locust_patches.patch_workers(_exit, load_settings)
