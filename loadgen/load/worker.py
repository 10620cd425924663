"""A worker process: holds one executor, does what the master says, reports once a second.

It decides one thing by itself: a worker that has not heard the master for five seconds, or has
stood still itself, takes no arrivals, since the master may have given them to others. It asks, and
goes on once the master says that it has not, or gives it another share.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import os
import time
from collections.abc import Mapping
from typing import Any

import gevent

from loadgen.config.settings import Settings
from loadgen.errors import PlaygroundError
from loadgen.load.executor import Executor
from loadgen.load.locust_patches import LoadWorkerRunner
from loadgen.source.embedded.server import source_dsn
from loadgen.workload.schedule.clock import seconds_to_next
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.shards import Shard

MESSAGE = "loadgen"
_SILENCE_SECONDS = 5.0
_TICK_SECONDS = 0.25
_IDLE_INTERVAL = 0.1  # between reports before the start and after the end


class Worker:
    """This process, as the master's messages see it."""

    def __init__(self, runner: LoadWorkerRunner, settings: Settings) -> None:
        self._runner = runner
        self._settings = settings
        self._executor: Executor | None = None
        self._run_id = ""
        self._begun = object()  # tells the latest executor from earlier ones
        self._doubts = 0  # how often it has asked whether its share is still its own
        runner.register_message(MESSAGE, self._hear)
        gevent.spawn(self._report_for_ever)
        gevent.spawn(self._watch_master)

    def _hear(self, msg: Any, **_: Any) -> None:
        """Do what one message of the master says."""
        said: Mapping[str, Any] = msg.data
        if said["do"] == "begin":
            self._begin(said)
        elif self._executor is not None and said["run_id"] == self._run_id:
            self._obey(self._executor, said)

    def _obey(self, executor: Executor, said: Mapping[str, Any]) -> None:
        match said["do"]:
            case "start":
                executor.start(said["zero"])
            case "change":
                executor.change(said["at"], Mix(said["rates"]), said["profile"])
            case "pause":
                executor.pause(said["at"])
            case "resume":
                executor.resume(said["at"])
            case "split":
                executor.split(said["at"], Shard(*said["shard"]))
            case "go on" if said["doubt"] == self._doubts:
                executor.dispatcher.hold(holding=False)
            case "end":
                executor.end(said["at"])
            case "close":
                executor.close()
                self._executor = None
        if "version" in said:
            self._say(applied=said["version"])

    def _begin(self, said: Mapping[str, Any]) -> None:
        """Get a executor ready, for a run that is to start or one that is under way."""
        if self._executor is not None:
            self._executor.close()
        plan = Plan.load(said["plan"])
        self._run_id = said["run_id"]
        joins_at, resumes_at = said["joins_at"], said["resumes_at"]
        self._begun = begun = object()

        def tell(kind: str, details: dict[str, object]) -> None:
            if self._begun is begun:  # what an earlier executor's users still notice is old news
                self._say(event=[kind, details])

        try:
            dsn = source_dsn(self._settings)
            self._executor = Executor(
                dsn,
                plan,
                Shard(*said["shard"]),
                tell,
                joins=joins_at is not None,
            )
        except PlaygroundError as exc:
            self._executor = None
            self._say(problem=str(exc))
            return
        for at, rates, profile in said["changes"]:
            self._executor.change(at, Mix(rates), profile)
        if resumes_at is not None:
            self._executor.schedule.join(resumes_at, Shard(*said["shard"]), said["passed"])
        if joins_at is not None:
            self._executor.schedule.join(joins_at, Shard(*said["shard"]))
            self._executor.start(said["zero"])
        if said["paused_at"] is not None:
            self._executor.pause(said["paused_at"])
        self._say(ready=True, applied=said["version"], pid=os.getpid())

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
                self._say(vector=self._vector(executor))

    def _vector(self, executor: Executor) -> dict[str, Any]:
        """Return the executor's state of one instant, with the latencies since the last one."""
        latencies = {
            name: [service.dump(), intended.dump()]
            for name, (service, intended) in executor.take_latencies().items()
        }
        health = [list(second) for second in executor.loop_monitor.take()]
        return {**executor.vector(), "latencies": latencies, "vitals": health}

    def _say(self, **said: object) -> None:
        self._runner.send_message(MESSAGE, {"run_id": self._run_id, **said})

    def _watch_master(self) -> None:
        """Hold while the master is silent; what falls due meanwhile is skipped in time.

        Also hold after a stall of this process: it was silent itself, and may have been given up.
        That the master is heard again says nothing: it may have given the share away before.
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
                self._say(doubt=self._doubts)
            dispatcher.ticked_at = time.monotonic()

    def drain(self) -> None:
        """Finish what is under way; the process is about to leave."""
        executor = self._executor
        if executor is None or executor.now() < 0:
            return
        executor.end(executor.now())
        deadline = time.monotonic() + 45
        while time.monotonic() < deadline and any(
            c.in_flight or c.unknown for c in executor.counts().values()
        ):
            gevent.sleep(0.02)
        self._say(vector=self._vector(executor))
