"""A worker process: holds one executor, does what the master's messages say, reports each second.

It decides one thing alone: a worker that has not heard the master for five seconds, or has stood
still itself, takes no arrivals, since the master may have given them to others. It asks, and
continues once the master confirms its shard or gives it another one.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import os
import time

import gevent
from locust.rpc import Message

from loadgen.config.settings import Settings
from loadgen.errors import PlaygroundError
from loadgen.load import messages
from loadgen.load.executor import Executor
from loadgen.load.locust_patches import LoadWorkerRunner
from loadgen.load.locust_rpc import OnceLogger
from loadgen.load.user import PostgresUser
from loadgen.source.embedded.server import source_dsn
from loadgen.workload.plain_model import load_model
from loadgen.workload.schedule.clock import seconds_to_next

_SILENCE_SECONDS = 5.0
_TICK_SECONDS = 0.25
_IDLE_INTERVAL = 0.1  # between reports before the start and after the end
_DRAIN_SECONDS = 45.0


class Worker:
    """This process, as the master's messages see it."""

    def __init__(self, runner: LoadWorkerRunner, settings: Settings) -> None:
        self._runner = runner
        self._settings = settings
        self._executor: Executor | None = None
        self._run_token = ""  # of the run
        self._executor_number = 0  # distinguishes the latest executor from earlier ones
        self._doubts = 0  # how often it has asked whether its shard is still its own
        self._once = OnceLogger()

    def start(self) -> None:
        """Begin to listen, to report, and to watch whether the master is there."""
        self._runner.register_message(messages.MESSAGE_TYPE, self._receive)
        gevent.spawn(self._report_for_ever)
        gevent.spawn(self._watch_master)

    def drain(self) -> None:
        """Finish all writes under way; the process is about to leave."""
        executor = self._executor
        if executor is None or executor.now() < 0:
            return
        end = executor.earliest_change()
        executor.end(end)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while executor.now() < end and time.monotonic() < deadline:
            gevent.sleep(0.02)
        while time.monotonic() < deadline and any(
            counts.in_flight or counts.unknown for counts in executor.counts().values()
        ):
            gevent.sleep(0.02)
        self._report(executor)

    def _receive(self, msg: Message, **_: object) -> None:
        """Act on one message of the master; one that can't be decoded is logged once."""
        try:
            run_token, message = messages.decode_from_master(msg.data)
        except messages.MessageError as exc:
            self._once.log("malformed", f"A message of the master was dropped ({exc})")
            return
        if isinstance(message, messages.Begin):
            self._run_token = run_token
            self._begin(message)
        elif self._executor is not None and run_token == self._run_token:
            self._apply(self._executor, message)

    def _apply(self, executor: Executor, message: messages.MasterMessage) -> None:
        match message:
            case messages.Start(zero):
                executor.start(zero)
            case messages.ChangeRates(change):
                executor.change_rates(change)
            case messages.Pause(at):
                executor.pause(at)
            case messages.Resume(at):
                executor.resume(at)
            case messages.Split(at, shard):
                executor.split(at, shard)
            case messages.KeepShard(doubt) if doubt == self._doubts:
                executor.dispatcher.hold(holding=False)
            case messages.End(at):
                executor.end(at)
            case messages.Close():
                executor.close()
                self._executor = None
        if isinstance(message, messages.Change):
            self._send(messages.Applied(message.version))

    def _begin(self, message: messages.Begin) -> None:
        """Open an executor, for a run that is to start or one that is under way."""
        if self._executor is not None:
            self._executor.close()
        self._executor = None
        self._executor_number += 1
        number, joins = self._executor_number, message.joins_at is not None

        def on_event(kind: str, details: dict[str, object]) -> None:
            if number == self._executor_number:  # else an earlier run's users noticed it late
                self._send(messages.ProcessEvent(kind, details))

        try:
            dsn = source_dsn(self._settings)
            model = load_model(message.model)
            opened_at = time.monotonic()
            executor = Executor.open(dsn, message.plan, message.shard, model, on_event, joins=joins)
        except (PlaygroundError, ValueError) as exc:
            self._send(messages.NotReady(str(exc)))
            return
        self._executor = executor
        if time.monotonic() - opened_at > _SILENCE_SECONDS:
            # The first compilation, for one: the master may have given the shard away meanwhile.
            executor.dispatcher.hold(holding=True)
            self._doubts += 1
        PostgresUser.dispatcher = executor.dispatcher
        for change in message.changes:
            executor.change_rates(change)
        if message.resumes_at is not None:
            executor.schedule.join(message.resumes_at, message.shard, message.checkpoints)
        if message.joins_at is not None:
            executor.schedule.join(message.joins_at, message.shard)
            executor.start(message.zero)
        if message.paused_at is not None:
            executor.pause(message.paused_at)
        self._send(messages.Ready(os.getpid(), message.version))

    def _report_for_ever(self) -> None:
        """Report at whole seconds of schedule time, oftener before the start and after the end.

        In a pause, each second.
        """
        before = now = -1.0
        while True:
            executor = self._executor
            if executor is None:
                gevent.sleep(_IDLE_INTERVAL)
                continue
            before, now = now, executor.now()
            if 0 <= now < executor.schedule.end:
                gevent.sleep(min(seconds_to_next(now, before, 1.0), executor.schedule.end - now))
            else:
                gevent.sleep(_IDLE_INTERVAL)
            if executor is self._executor:
                self._report(executor)

    def _report(self, executor: Executor) -> None:
        """Send the executor's state of this instant, and its measurements since the last report."""
        process = executor.report()
        latencies = executor.take_latencies()
        self._send(messages.WorkerReport(process, latencies, executor.loop_monitor.take()))

    def _send(self, message: messages.WorkerMessage) -> None:
        plain = messages.encode(self._run_token, message)
        self._runner.send_message(messages.MESSAGE_TYPE, plain)

    def _watch_master(self) -> None:
        """Hold while the master is silent; what falls due meanwhile is skipped in time.

        Also hold after a stall of this process: it was silent itself, and may have been given up.
        That the master is heard again proves nothing: it may have given the shard away before.
        """
        while True:
            ticked_at = time.monotonic()
            gevent.sleep(_TICK_SECONDS)
            executor = self._executor
            if executor is None:
                continue
            dispatcher = executor.dispatcher
            stalled = time.monotonic() - ticked_at > _SILENCE_SECONDS
            if stalled or self._runner.silence() > _SILENCE_SECONDS:
                dispatcher.hold(holding=True)
                self._doubts += 1
            if dispatcher.holding:
                self._send(messages.Doubt(self._doubts))
            dispatcher.ticked_at = time.monotonic()
