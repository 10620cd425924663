"""What can be changed while a load runs: its rates, its profile, and whether it pauses.

Every change takes effect at an instant that all processes know, is acknowledged by them, and is
journaled: when, what, from, to, by which way.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loadgen.errors import JournalFullError
from loadgen.load.swarm import Swarm
from loadgen.record.writer import RunRecord
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName

_START_SECONDS = 10.0
# Each is kept: a resumed run replays them. Once a minute for two days is less.
_MOST_OF_A_KIND = 3000


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the load stands still, and who wanted it."""

    reason: str
    by: str


class LiveChanges:
    """The state in force of one run; changes come one at a time."""

    def __init__(self, swarm: Swarm, record: RunRecord, plan: Plan) -> None:
        self.mix = plan.mix
        self.profile: ProfileName = plan.profile
        self.applied_by = ""  # of the newest change; empty before the first
        self.paused: Pause | None = None
        self._swarm = swarm
        self._record = record
        self._one_at_a_time = threading.RLock()
        self._journaled = Counter(record.kinds())  # there are some in a run that is resumed

    def change(
        self, rates_per_hour: Mapping[str, float], profile: ProfileName | None = None, *, by: str
    ) -> None:
        """Put rates (per hour, of the operations named) and profile in force; same ones: nothing.

        The values have been checked.
        """
        with self._one_at_a_time:
            old, before = self.mix.rates_per_hour, self.profile
            mix, profile = Mix({**old, **rates_per_hour}), profile or before
            changed = {
                name: {"from": old[name], "to": rate}
                for name, rate in mix.rates_per_hour.items()
                if rate != old[name]
            }
            if not changed and profile == before:
                return
            self._require_room("rate_change", "changes of rates or profile")
            details: dict[str, object] = {"rates_per_hour": changed} if changed else {}
            if profile != before:
                details["profile"] = {"from": before, "to": profile}
            at = self._swarm.ahead()
            self._apply(
                "rate_change", at, by, details, lambda: self._swarm.change(at, mix, profile)
            )
            self.mix, self.profile = mix, profile

    def pause(self, reason: str, *, by: str) -> None:
        """Let nothing fall due until `resume`; the first reason stays."""
        with self._one_at_a_time:
            if self.paused is None:
                at = self._swarm.ahead()
                self._apply("pause", at, by, {"reason": reason}, lambda: self._swarm.pause(at))
                self.paused = Pause(reason, by)

    def resume(self, *, by: str) -> None:
        """Go on offering; what would have fallen due meanwhile is not made up."""
        with self._one_at_a_time:
            if self.paused is not None:
                # A pause is never refused, since it may protect the source.
                self._require_room("resume", "pauses")
                self._await_start()
                self._apply("resume", self._swarm.ahead(), by, {}, self._swarm.resume)
                self.paused = None

    def _require_room(self, kind: str, what: str) -> None:
        """Raise JournalFullError if the journal takes no more changes of that kind."""
        if self._journaled[kind] >= _MOST_OF_A_KIND:
            raise JournalFullError(
                f"this run has had {_MOST_OF_A_KIND:,} {what}, which is all that its journal "
                "takes: start another run"
            )

    def _await_start(self) -> None:
        """Wait until the clock has started, which can go on only then; it takes 5 s at most."""
        deadline = time.monotonic() + _START_SECONDS
        while self._swarm.now() < 0 and time.monotonic() < deadline:
            time.sleep(0.02)

    def _apply(
        self,
        kind: str,
        at: float,
        by: str,
        details: Mapping[str, object],
        announce: Callable[[], str],
    ) -> None:
        """Journal a change, then announce it: a run that is resumed knows all that were."""
        number = self._record.journal(kind, None, **details, by=by, schedule_seconds=at)
        self._journaled[kind] += 1
        self.applied_by = announce()
        self._record.amend(number, applied_by=self.applied_by)
