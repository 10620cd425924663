"""A worker process: holds one station, does what the master says, reports once a second.

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
from loadgen.load.executor import Station
from loadgen.load.locust_patches import LoadWorkerRunner
from loadgen.source import locate
from loadgen.workload.schedule.clock import until_next
from loadgen.workload.schedule.mix import Mix
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.shards import Share

MESSAGE = "loadgen"
_SILENCE_SECONDS = 5.0
_TICK_SECONDS = 0.25
_IDLE_INTERVAL = 0.1  # between reports before the start and after the end


class Worker:
    """This process, as the master's messages see it."""

    def __init__(self, runner: LoadWorkerRunner, settings: Settings) -> None:
        self._runner = runner
        self._settings = settings
        self._station: Station | None = None
        self._run_id = ""
        self._begun = object()  # tells the latest station from earlier ones
        self._doubts = 0  # how often it has asked whether its share is still its own
        runner.register_message(MESSAGE, self._hear)
        gevent.spawn(self._report_for_ever)
        gevent.spawn(self._watch_master)

    def _hear(self, msg: Any, **_: Any) -> None:
        """Do what one message of the master says."""
        said: Mapping[str, Any] = msg.data
        if said["do"] == "begin":
            self._begin(said)
        elif self._station is not None and said["run_id"] == self._run_id:
            self._obey(self._station, said)

    def _obey(self, station: Station, said: Mapping[str, Any]) -> None:
        match said["do"]:
            case "start":
                station.start(said["zero"])
            case "change":
                station.change(said["at"], Mix(said["rates"]), said["profile"])
            case "pause":
                station.pause(said["at"])
            case "resume":
                station.resume(said["at"])
            case "split":
                station.split(said["at"], Share(*said["share"]))
            case "go on" if said["doubt"] == self._doubts:
                station.crew.hold(holding=False)
            case "end":
                station.end(said["at"])
            case "close":
                station.close()
                self._station = None
        if "version" in said:
            self._say(applied=said["version"])

    def _begin(self, said: Mapping[str, Any]) -> None:
        """Get a station ready, for a run that is to start or one that is under way."""
        if self._station is not None:
            self._station.close()
        plan = Plan.load(said["plan"])
        self._run_id = said["run_id"]
        joins_at, resumes_at = said["joins_at"], said["resumes_at"]
        self._begun = begun = object()

        def tell(kind: str, details: dict[str, object]) -> None:
            if self._begun is begun:  # what an earlier station's users still notice is old news
                self._say(event=[kind, details])

        try:
            dsn = locate.source_dsn(self._settings, start=False)
            self._station = Station(
                dsn,
                plan,
                Share(*said["share"]),
                tell,
                joins=joins_at is not None,
            )
        except PlaygroundError as exc:
            self._station = None
            self._say(problem=str(exc))
            return
        for at, rates, profile in said["changes"]:
            self._station.change(at, Mix(rates), profile)
        if resumes_at is not None:
            self._station.schedule.join(resumes_at, Share(*said["share"]), said["passed"])
        if joins_at is not None:
            self._station.schedule.join(joins_at, Share(*said["share"]))
            self._station.start(said["zero"])
        if said["paused_at"] is not None:
            self._station.pause(said["paused_at"])
        self._say(ready=True, applied=said["version"], pid=os.getpid())

    def _report_for_ever(self) -> None:
        """Report at whole seconds of schedule time, oftener before the start and after the end.

        In a pause, each second.
        """
        before = now = -1.0
        while True:
            station = self._station
            if station is None:
                gevent.sleep(_IDLE_INTERVAL)
                continue
            before, now = now, station.now()
            if 0 <= now < station.schedule.end:
                gevent.sleep(min(until_next(now, before, 1.0), station.schedule.end - now))
            else:
                gevent.sleep(_IDLE_INTERVAL)
            if station is self._station:
                self._say(vector=self._vector(station))

    def _vector(self, station: Station) -> dict[str, Any]:
        """Return the station's state of one instant, with the latencies since the last one."""
        latencies = {
            name: [service.dump(), intended.dump()]
            for name, (service, intended) in station.take_latencies().items()
        }
        vitals = [list(second) for second in station.pulse.take()]
        return {**station.vector(), "latencies": latencies, "vitals": vitals}

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
            station = self._station
            if station is None:
                continue
            crew = station.crew
            stalled = time.monotonic() - ticked_at > _SILENCE_SECONDS
            if stalled or self._runner.silence() > _SILENCE_SECONDS:
                crew.hold(holding=True)
                self._doubts += 1
            if crew.holding:
                self._say(doubt=self._doubts)
            crew.ticked_at = time.monotonic()

    def drain(self) -> None:
        """Finish what is under way; the process is about to leave."""
        station = self._station
        if station is None or station.now() < 0:
            return
        station.end(station.now())
        deadline = time.monotonic() + 45
        while time.monotonic() < deadline and any(
            c.in_flight or c.unknown for c in station.counts().values()
        ):
            gevent.sleep(0.02)
        self._say(vector=self._vector(station))
