"""The swarm of a master: its workers' stations, asked by messages, and the arithmetic of loss.

Each worker reports a vector a second; the sum of the latest vectors keeps the accounting law. The
arrivals of a worker that is lost, from its last vector up to the hand-over, are unknown until
`worker` has looked them up; its share goes to the others from an instant announced ahead.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections.abc import Container, Mapping
from datetime import datetime
from math import inf, nextafter
from typing import Any

import gevent
import psutil
from locust.runners import MasterRunner

from loadgen.errors import SourceError
from loadgen.load.executor import schedule_of
from loadgen.load.local_swarm import CONNECT_SECONDS
from loadgen.load.lookup import server_time
from loadgen.load.recovery import settle, take_up, why_lost, write_off
from loadgen.load.worker import MESSAGE
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.load.worker_table import WorkerTable
from loadgen.source import postgres
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName
from loadgen.workload.schedule.shards import WHOLE, Shard

_READY_SECONDS = 30.0
_AHEAD_SECONDS = 0.5  # how far ahead a change is announced
_GATHER_SECONDS = 1.5
_ACKNOWLEDGED_SECONDS = 2.0
_LAST_REPORT_SECONDS = 30.0  # for a worker that is there to have come to the end


class WorkersSwarm(WorkerTable):
    """What the controller asks, answered by the workers' latest reports."""

    distributed = True

    def __init__(self, runner: MasterRunner, dsn: str, heard: Container[str]) -> None:
        """`heard` has the workers that have sent a heartbeat: from then on they hear ours too.

        Locust knows a worker a moment before; what it is told then it does not understand.
        """
        super().__init__()
        self._runner = runner
        self._heard = heard
        self._dsn = dsn
        self._since: datetime | None = None  # the server's time before a worker connects
        self.events: list[tuple[str, dict[str, object]]] = []  # for the journal
        self._clock = ScheduleClock(time.monotonic)
        self._silent: set[str] = set()  # lost, and not heard again
        self._changes: list[tuple[float, dict[str, float], ProfileName]] = []
        self._version = 0  # of what was announced last
        self._ending = False  # nothing is offered any more, and nothing handed over
        self._problem: str | None = None
        self._children = {child.pid for child in psutil.Process().children()}  # of --processes
        self._schedule: Schedule
        self._plan: Plan
        runner.custom_messages[MESSAGE] = (self._hear, False)  # each run has its own listener

    def begin(self, plan: Plan, past: RunPosition | None = None) -> None:
        """Give every worker that is there its share; raises SourceError if one can't take it."""
        self._plan, self._past = plan, past
        with postgres.connect(self._dsn) as connection:
            self._since = server_time(connection)
        self._schedule = schedule_of(plan, WHOLE)
        if past is not None:
            self._go_on(past)
        deadline = time.monotonic() + _READY_SECONDS
        while len(workers := self._there()) < self._runner.worker_count:
            if time.monotonic() > deadline:
                raise SourceError("a worker that has joined is silent: see its log")
            gevent.sleep(0.01)
        for part, name in enumerate(workers):
            self.enlist(name, Shard(part, len(workers)), past.s if past is not None else 0.0)
            self._begin(name, joins_at=None)
        while not all(worker.ready for worker in self.live()):
            if self._problem or time.monotonic() > deadline:
                raise SourceError(
                    self._problem or "a worker did not get ready in 30 s: see its log"
                )
            gevent.sleep(0.01)
        self._greenlets = [gevent.spawn(self._start), gevent.spawn(self._watch)]

    def _go_on(self, past: RunPosition) -> None:
        """Take up a run where its killed processes left it."""
        for at, rates, profile in past.changes:
            self._schedule.change_rates(at, Mix(rates), profile)
            self._changes.append((at, dict(rates), profile))
        for i, worker in enumerate(past.remotes):
            self.remotes[f"{i} before resume {past.resumed}"] = worker
        take_up(self._dsn, self._plan, past, self._schedule)
        if past.paused:
            self._clock.pause(past.s)

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self._clock.now()

    def gather(self, s: float) -> None:
        """Wait a moment for every worker's vector of schedule time `s`."""
        deadline = time.monotonic() + _GATHER_SECONDS
        while (now := time.monotonic()) < deadline and any(
            worker.s < int(s) and now - worker.heard_at < 2 * _GATHER_SECONDS
            for worker in self.live()
        ):
            gevent.sleep(0.01)

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""
        if self._clock.paused:
            return dict.fromkeys(OPERATIONS, 0.0)
        return self._schedule.target_rates(self.now())

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""
        return self._schedule.planned(max(0.0, self.now()))

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""
        return self._clock.elapsed()

    def ahead(self) -> float:
        """Return a schedule time that all workers will have heard of before it comes."""
        now = max(self._past.s if self._past else 0.0, self.now())
        return min(now + _AHEAD_SECONDS, self._clock.pause_at)

    def change(self, at: float, mix: Mix, profile: ProfileName) -> str:
        """Announce other rates, or another profile."""
        rates = dict(mix.rates_per_hour)
        self._schedule.change_rates(at, mix, profile)
        self._changes.append((at, rates, profile))
        return self._announce(do="change", at=at, rates=rates, profile=profile)

    def pause(self, at: float) -> str:
        """Announce when schedule time is to stand still."""
        self._clock.pause(at)
        return self._announce(do="pause", at=at)

    def resume(self) -> str:
        """Announce when schedule time is to go on."""
        self._clock.resume(time.monotonic() + _AHEAD_SECONDS)
        wall, at = time.time() + _AHEAD_SECONDS, self.now()
        self._end(at + self._plan.duration - self.elapsed() - _AHEAD_SECONDS)
        return self._announce(do="resume", at=wall)

    def stop_offering(self) -> float:
        """Let nothing more fall due, from an instant that all workers know ahead; return it."""
        at = min(self.ahead(), self._schedule.end)
        self._ending = True
        self._end(at)
        deadline = time.monotonic() + _LAST_REPORT_SECONDS
        while any(worker.s < at for worker in self.live()):
            if time.monotonic() > deadline:
                for name, worker in self._live_by_name():
                    if worker.s < at:
                        self._lose(name, worker, "it does not come to the run's end")
            gevent.sleep(0.01)
        return at

    def desertion(self, seconds: float) -> list[str]:
        """Say so where the run ended after `seconds` since no worker was left to go on."""
        asked = self._plan.duration
        if self.live() or seconds >= asked:
            return []
        return [f"its last worker was lost after {seconds:.0f} s of the {asked:.0f} s asked for"]

    def close(self) -> None:
        """End what goes on beside the users."""
        gevent.killall(self._greenlets)
        self._tell_all(do="close")

    def _end(self, at: float) -> None:
        """Let nothing fall due after schedule time `at`."""
        self._schedule.end = min(self._schedule.end, nextafter(at, inf))
        self._tell_all(do="end", at=at)

    def _announce(self, **said: object) -> str:
        """Tell every worker; return how many acknowledged it within two seconds."""
        self._version += 1
        version = self._version
        self._tell_all(**said, version=version)
        deadline = time.monotonic() + _ACKNOWLEDGED_SECONDS
        while time.monotonic() < deadline and any(r.applied < version for r in self.live()):
            gevent.sleep(0.01)
        live = self.live()
        return f"{sum(worker.applied >= version for worker in live)} of {len(live)}"

    def _start(self) -> None:
        """Start every clock at one instant ahead, once a connection is open somewhere."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline and not any(r.backends for r in self.remotes.values()):
            gevent.sleep(0.01)
        s, elapsed = (self._past.s, self._past.elapsed) if self._past else (0.0, 0.0)
        zero = time.time() + _AHEAD_SECONDS - s
        self._clock.start(time.monotonic() + _AHEAD_SECONDS - s, elapsed - s)
        self._tell_all(do="start", zero=zero)
        if self._past is not None:
            self._end(s + self._plan.duration - elapsed)

    def _watch(self) -> None:
        """Notice workers that fall silent, leave, or join."""
        while True:
            gevent.sleep(0.25)
            if self.now() < 0:
                continue
            for name, worker in self._live_by_name():
                there, ours = name in self._runner.clients, worker.pid in self._children
                if why := why_lost(worker, there=there, ours=ours):
                    self._lose(name, worker, why)
            if self._is_ending():
                continue
            for name in self._there():
                if name not in self.remotes and name not in self._silent:
                    self._split(joining=name)

    def _live_by_name(self) -> list[tuple[str, WorkerState]]:
        return [(name, worker) for name, worker in self.remotes.items() if not worker.lost]

    def _is_ending(self) -> bool:
        return self._ending or self.now() >= self._schedule.end

    def _lose(self, name: str, worker: WorkerState, why: str) -> None:
        """Hand a lost worker's share to the others, and have its last arrivals looked up.

        When the run is ending nobody takes it: what the worker did not begin is skipped.
        """
        self._silent.add(name)
        # Under a name of its own: the process may come back, and is another worker then.
        self.remotes[f"{name} lost at {self.now():.3f}"] = self.remotes.pop(name)
        worker.backends = self.backends_of(worker)
        details: dict[str, object] = {"worker": name, "why": why}
        if self._is_ending():
            write_off(worker, self._schedule, self._schedule.end)
        else:
            details["handed_over_at"] = round(self._split(losing=worker), 3)
        self.events.append(("worker_lost", details))
        gevent.spawn(settle, self._dsn, self._plan, worker, self._since)

    def _split(self, *, losing: WorkerState | None = None, joining: str | None = None) -> float:
        """Share the schedule among those who live from an instant ahead on; return that instant.

        All of it is noted before anybody is told: a position that is kept meanwhile is a whole one.
        """
        at = self.now() + 2 * _AHEAD_SECONDS
        if losing is not None:
            write_off(losing, self._schedule, at)
        names = [name for name, worker in self.remotes.items() if not worker.lost]
        parts = len(names) + (joining is not None)
        for part, name in enumerate(names):
            self.remotes[name].shares.append((at, Shard(part, parts)))
        if joining is not None:
            self.enlist(joining, Shard(parts - 1, parts), at)
        for part, name in enumerate(names):
            self._tell(name, do="split", at=at, shard=[part, parts])
        if joining is not None:
            self._begin(joining, joins_at=at)
            self.events.append(
                ("worker_joined", {"worker": joining, "takes_part_from": round(at, 3)})
            )
        return at

    def _begin(self, name: str, joins_at: float | None) -> None:
        """Tell an enlisted worker what to do."""
        shard = self.remotes[name].shares[0][1]
        self._tell(
            name,
            do="begin",
            plan=self._plan.dump(),
            shard=list(shard),
            changes=self._changes,
            version=self._version,
            joins_at=joins_at,
            resumes_at=self._past.s if self._past else None,
            passed=self._past.passed if self._past else {},
            # Told anew each time: somebody may have set the clock since the start.
            zero=0.0 if joins_at is None else time.time() - self.now(),
            paused_at=self._clock.pause_at if self._clock.pause_at < inf else None,
        )

    def _hear(self, msg: Any, **_: Any) -> None:
        """Take in what one worker says."""
        self._silent.discard(msg.node_id)
        worker, said = self.remotes.get(msg.node_id), msg.data
        if worker is None or said["run_id"] != self._plan.run_token:
            return
        worker.heard_at = time.monotonic()
        if "ready" in said:
            worker.ready, worker.pid = True, said["pid"]
        worker.applied = said.get("applied", worker.applied)
        self._problem = said.get("problem", self._problem)
        if "event" in said:
            kind, details = said["event"]
            self.events.append((kind, {**details, "worker": msg.node_id}))
        if "doubt" in said:
            self._tell(msg.node_id, do="go on", doubt=said["doubt"])
        if "vector" in said:
            self.take_in(worker, said["vector"])

    def _there(self) -> list[str]:
        clients = self._runner.clients
        known = clients.ready + clients.spawning + clients.running
        return [node.id for node in known if node.id in self._heard]

    def _tell_all(self, **said: object) -> None:
        for name, worker in self.remotes.items():
            if not worker.lost:
                self._tell(name, **said)

    def _tell(self, name: str, **said: object) -> None:
        self._runner.send_message(MESSAGE, {"run_id": self._plan.run_token, **said}, client_id=name)
