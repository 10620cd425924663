"""The swarm of a master: its workers' executors, driven by messages, and the handling of losses.

Each worker reports its counts once a second; the sum of the latest counts keeps the accounting law.
The arrivals of a lost worker, from its last report up to the hand-over, are unknown until they are
looked up (`recovery`). Its shard goes to the others from an instant that is announced ahead.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections.abc import Container, Mapping
from datetime import datetime
from math import inf, nextafter

import gevent
import psutil
from locust.rpc import Message
from locust.runners import MasterRunner

from loadgen.errors import SourceError
from loadgen.load import messages
from loadgen.load.columns import value_makers
from loadgen.load.local_swarm import CONNECT_SECONDS
from loadgen.load.locust_rpc import OnceLogger
from loadgen.load.lookup import server_time
from loadgen.load.messages import NewRates
from loadgen.load.proofs import Proofs
from loadgen.load.recovery import account_for_killed, lost_reason, settle, write_off
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.load.worker_table import WorkerTable
from loadgen.source import postgres
from loadgen.workload.model import WorkloadModel
from loadgen.workload.plain_model import dump_model
from loadgen.workload.schedule.arrivals import Schedule, schedule_of
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.shards import WHOLE, Shard

_READY_SECONDS = 30
_COMPILED_SECONDS = 180  # of workers that may first have to compile the loop
_AHEAD_SECONDS = 0.5  # how far ahead a change is announced
_REPORT_SECONDS = 1.5
_ACKNOWLEDGED_SECONDS = 2.0
_LAST_REPORT_SECONDS = 30.0  # for a live worker to reach the run's end


class WorkersSwarm(WorkerTable):
    """The swarm whose processes are a master's workers, known by their latest reports."""

    distributed = True

    def __init__(
        self,
        runner: MasterRunner,
        dsn: str,
        heard: Container[str],
        model: WorkloadModel,
    ) -> None:
        """`heard` has the workers that have sent a heartbeat: from then on they hear ours too.

        Locust knows a worker a moment before that, when it does not understand our messages yet.
        """
        super().__init__(model)
        self._runner = runner
        self._heard = heard
        self._dsn = dsn
        self._since: datetime | None = None  # the server's time before a worker connects
        self.events: list[tuple[str, dict[str, object]]] = []  # for the journal
        self._clock = ScheduleClock(time.monotonic)
        self._silent: set[str] = set()  # lost, and not heard again
        self._changes: list[NewRates] = []
        self._version = 0  # of the change that was announced last
        self._ending = False  # nothing is offered any more, and nothing handed over
        self._problem = ""  # why a worker is not ready
        self._children = {child.pid for child in psutil.Process().children()}  # of --processes
        self._once = OnceLogger()
        self._schedule: Schedule
        self._plan: Plan

    def begin(self, plan: Plan, position: RunPosition | None = None) -> None:
        """Give every connected worker its shard. Raises SourceError if one does not get ready."""
        # Each run has its own listener.
        self._runner.custom_messages[messages.MESSAGE_TYPE] = (self._receive, False)
        self._plan, self._position = plan, position
        with postgres.connect(self._dsn) as connection:
            self._since = server_time(connection)
        self._schedule = schedule_of(plan, WHOLE)
        self.proofs = Proofs(self.model, plan, value_makers(self.model, plan))
        if position is not None:
            self._continue_from(position)
        deadline = time.monotonic() + _READY_SECONDS
        while len(names := self._connected()) < self._runner.worker_count:
            if time.monotonic() > deadline:
                raise SourceError("a worker that has joined is silent: see its log")
            gevent.sleep(0.01)
        for part, name in enumerate(names):
            self.enlist(name, Shard(part, len(names)), 0.0 if position is None else position.s)
            self._send_begin(name, joins_at=None)
        seconds = _READY_SECONDS if plan.load_loop == "gevent" else _COMPILED_SECONDS
        deadline = time.monotonic() + seconds
        while not all(worker.ready for worker in self.live()):
            if self._problem or time.monotonic() > deadline:
                raise SourceError(
                    self._problem or f"a worker did not get ready in {seconds} s: see its log"
                )
            gevent.sleep(0.01)
        self._greenlets = [gevent.spawn(self._start), gevent.spawn(self._watch)]

    def _continue_from(self, position: RunPosition) -> None:
        """Take up a run where its killed processes left it."""
        for change in position.changes:
            self._schedule.change_rates(*change)
            self._changes.append(change)
        for i, worker in enumerate(position.processes):
            self.workers[f"{i} before resume {position.resumptions}"] = worker
        account_for_killed(self._dsn, self._plan, self.proofs, position, self._schedule)
        if position.paused:
            self._clock.pause(position.s)

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self._clock.now()

    def await_reports(self, s: float) -> None:
        """Wait a moment for every worker's report of schedule time `s`."""
        deadline = time.monotonic() + _REPORT_SECONDS
        while (now := time.monotonic()) < deadline and any(
            worker.s < int(s) and now - worker.heard_at < 2 * _REPORT_SECONDS
            for worker in self.live()
        ):
            gevent.sleep(0.01)

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""
        if self._clock.paused:
            return dict.fromkeys(self.model.operations, 0.0)
        return self._schedule.target_rates(self.now())

    def planned(self) -> Mapping[str, float]:
        """Return how many arrivals the rates amount to from the start up to now."""
        return self._schedule.planned(max(0.0, self.now()))

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""
        return self._clock.elapsed()

    def moment(self) -> tuple[float, float]:
        """Return `now` and `elapsed` of one moment, however busy the machine is."""
        return self._clock.moment()

    def earliest_change(self) -> float:
        """Return a schedule time that all workers will have heard of before it comes."""
        now = max(self._position.s if self._position else 0.0, self.now())
        return min(now + _AHEAD_SECONDS, self._clock.pause_at)

    def change_rates(self, change: NewRates) -> str:
        """Announce other rates, or another profile."""
        self._schedule.change_rates(*change)
        self._changes.append(change)
        return self._announce(messages.ChangeRates(change, self._version + 1))

    def pause(self, at: float) -> str:
        """Announce when schedule time is to stop."""
        self._clock.pause(at)
        return self._announce(messages.Pause(at, self._version + 1))

    def resume(self) -> str:
        """Announce when schedule time is to run again."""
        self._clock.resume(time.monotonic() + _AHEAD_SECONDS)
        wall, at = time.time() + _AHEAD_SECONDS, self.now()
        self._end(at + self._plan.duration - self.elapsed() - _AHEAD_SECONDS)
        return self._announce(messages.Resume(wall, self._version + 1))

    def stop_offering(self) -> float:
        """Let nothing more fall due, from an instant that all workers know ahead; return it."""
        at = min(self.earliest_change(), self._schedule.end)
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

    def ended_early_reason(self, seconds: float) -> str:
        """Return why the run ended early, after `seconds`: no worker was left; else empty."""
        duration = self._plan.duration
        if self.live() or seconds >= duration:
            return ""
        return f"its last worker was lost after {seconds:.0f} s of the {duration:.0f} s asked for"

    def close(self) -> None:
        """End what runs beside the users."""
        gevent.killall(self._greenlets)
        self._send_all(messages.Close())

    def _end(self, at: float) -> None:
        """Let nothing fall due after schedule time `at`."""
        self._schedule.end = min(self._schedule.end, nextafter(at, inf))
        self._send_all(messages.End(at))

    def _announce(self, change: messages.Change) -> str:
        """Send a change to every worker; return how many acknowledged it within two seconds."""
        self._version = change.version
        self._send_all(change)
        deadline = time.monotonic() + _ACKNOWLEDGED_SECONDS
        while time.monotonic() < deadline and any(
            worker.applied < change.version for worker in self.live()
        ):
            gevent.sleep(0.01)
        live = self.live()
        return f"{sum(worker.applied >= change.version for worker in live)} of {len(live)}"

    def _start(self) -> None:
        """Start every clock at one instant ahead, once a connection is open somewhere."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline and not any(
            worker.backends for worker in self.workers.values()
        ):
            gevent.sleep(0.01)
        s, elapsed = (self._position.s, self._position.elapsed) if self._position else (0.0, 0.0)
        zero = time.time() + _AHEAD_SECONDS - s
        self._clock.start(time.monotonic() + _AHEAD_SECONDS - s, elapsed - s)
        self._send_all(messages.Start(zero))
        if self._position is not None:
            self._end(s + self._plan.duration - elapsed)

    def _watch(self) -> None:
        """Notice workers that fall silent, leave, or join."""
        while True:
            gevent.sleep(0.25)
            if self.now() < 0:
                continue
            for name, worker in self._live_by_name():
                connected, is_child = name in self._runner.clients, worker.pid in self._children
                if why := lost_reason(worker, connected=connected, is_child=is_child):
                    self._lose(name, worker, why)
            if self._is_ending():
                continue
            for name in self._connected():
                if name not in self.workers and name not in self._silent:
                    self._split(joining=name)

    def _live_by_name(self) -> list[tuple[str, WorkerState]]:
        return [(name, worker) for name, worker in self.workers.items() if not worker.lost]

    def _is_ending(self) -> bool:
        return self._ending or self.now() >= self._schedule.end

    def _lose(self, name: str, worker: WorkerState, why: str) -> None:
        """Hand a lost worker's shard to the others, and have its last arrivals looked up.

        If the run is ending, no worker takes it over: arrivals that were not begun are skipped.
        """
        self._silent.add(name)
        # Under another name: the process may come back, and is another worker then.
        self.workers[f"{name} lost at {self.now():.3f}"] = self.workers.pop(name)
        worker.backends = self.backends_of(worker)
        details: dict[str, object] = {"worker": name, "why": why}
        if self._is_ending():
            write_off(worker, self._schedule, self._schedule.end)
        else:
            details["handed_over_at"] = round(self._split(losing=worker), 3)
        self.events.append(("worker_lost", details))
        gevent.spawn(settle, self._dsn, self._plan, self.proofs, worker, self._since)

    def _split(self, *, losing: WorkerState | None = None, joining: str | None = None) -> float:
        """Share the schedule among the live workers from an instant ahead on; return that instant.

        The table is complete before the first worker hears of the split, and so is a position that
        is saved meanwhile.
        """
        at = self.now() + 2 * _AHEAD_SECONDS
        if losing is not None:
            write_off(losing, self._schedule, at)
        names = [name for name, worker in self.workers.items() if not worker.lost]
        parts = len(names) + (joining is not None)
        for part, name in enumerate(names):
            self.workers[name].shards.append((at, Shard(part, parts)))
        if joining is not None:
            self.enlist(joining, Shard(parts - 1, parts), at)
        for part, name in enumerate(names):
            self._send(name, messages.Split(at, Shard(part, parts)))
        if joining is not None:
            self._send_begin(joining, joins_at=at)
            self.events.append(
                ("worker_joined", {"worker": joining, "takes_part_from": round(at, 3)})
            )
        return at

    def _send_begin(self, name: str, joins_at: float | None) -> None:
        """Send an enlisted worker all that it needs to take part in the run."""
        position = self._position
        message = messages.Begin(
            plan=self._plan,
            model=dump_model(self.model),
            shard=self.workers[name].shards[0][1],
            changes=self._changes,
            version=self._version,
            joins_at=joins_at,
            # Computed each time: the machine's clock may have been set since the start.
            zero=0.0 if joins_at is None else time.time() - self.now(),
            resumes_at=position.s if position else None,
            checkpoints=position.checkpoints if position else {},
            paused_at=self._clock.pause_at if self._clock.pause_at < inf else None,
        )
        self._send(name, message)

    def _receive(self, msg: Message, **_: object) -> None:
        """Act on one message of a worker; one that can't be decoded is logged once."""
        self._silent.discard(msg.node_id)
        worker = self.workers.get(msg.node_id)
        try:
            run_token, message = messages.decode_from_worker(msg.data, self.model.operations)
        except messages.MessageError as exc:
            self._once.log("malformed", f"A message of {msg.node_id} was dropped ({exc})")
            return
        if worker is None or run_token != self._plan.run_token:
            return
        worker.heard_at = time.monotonic()
        match message:
            case messages.Ready(pid, version):
                worker.ready, worker.pid, worker.applied = True, pid, version
            case messages.NotReady(problem):
                self._problem = problem
            case messages.Applied(version):
                worker.applied = version
            case messages.ProcessEvent(kind, details):
                self.events.append((kind, {**details, "worker": msg.node_id}))
            case messages.Doubt(doubt):
                self._send(msg.node_id, messages.KeepShard(doubt))
            case messages.WorkerReport():
                self.take_in(worker, message)

    def _connected(self) -> list[str]:
        clients = self._runner.clients
        known = clients.ready + clients.spawning + clients.running
        return [node.id for node in known if node.id in self._heard]

    def _send_all(self, message: messages.MasterMessage) -> None:
        for name, worker in self.workers.items():
            if not worker.lost:
                self._send(name, message)

    def _send(self, name: str, message: messages.MasterMessage) -> None:
        plain = messages.encode(self._plan.run_token, message)
        self._runner.send_message(messages.MESSAGE_TYPE, plain, client_id=name)
