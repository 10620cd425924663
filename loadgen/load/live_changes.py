"""Changes of a running load: its rates, its profile, and whether it pauses.

Every change applies from an instant that all processes know. They acknowledge it, and the journal
has its time, its way, and the old and the new values.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loadgen.errors import JournalFullError
from loadgen.load.messages import NewRates
from loadgen.load.swarm import Swarm
from loadgen.record.folder import RunRecord
from loadgen.workload.operations import require_profile
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import Profile, ProfileName, RateCurve, profiles_of

_START_SECONDS = 10.0
# All of them stay in the journal, and a resumed run replays them. Once a minute for two days is
# less.
_MOST_OF_A_KIND = 3000


@dataclass(frozen=True, slots=True)
class PauseReason:
    """Why the load is paused, and who paused it."""

    reason: str
    by: str


class LiveChanges:
    """The rates, profile and pause of one run; changes are applied one at a time."""

    def __init__(self, swarm: Swarm, record: RunRecord, plan: Plan) -> None:
        self.mix = plan.mix
        self.profile: ProfileName = plan.profile
        self.applied_by = ""  # how many processes acknowledged the newest change; "" before it
        self.paused: PauseReason | None = None
        self._swarm = swarm
        self._record = record
        self._own_profile = plan.own_profile
        self._profiles = profiles_of(plan.own_profile)
        self._own_levels = RateCurve(1.0, self._own_or_steady(plan.profile))
        self._lock = threading.RLock()
        self._journaled = Counter(record.kinds())  # a resumed run has some already

    def change(
        self, rates_per_hour: Mapping[str, float], profile: ProfileName | None = None, *, by: str
    ) -> None:
        """Apply rates (per hour, of the operations named) and profile; unchanged ones do nothing.

        The values have been checked. Raises SettingsError if the workload has no such profile.
        """
        if profile:
            require_profile(profile, self._own_profile)
        with self._lock:
            old_rates, old_profile = self.mix.rates_per_hour, self.profile
            mix, profile = Mix({**old_rates, **rates_per_hour}), profile or old_profile
            changed = {
                name: {"from": old_rates[name], "to": rate}
                for name, rate in mix.rates_per_hour.items()
                if rate != old_rates[name]
            }
            if not changed and profile == old_profile:
                return
            self._require_room("rate_change", "changes of rates or profile")
            details: dict[str, object] = {"rates_per_hour": changed} if changed else {}
            if profile != old_profile:
                details["profile"] = {"from": old_profile, "to": profile}
            change = NewRates(self._swarm.earliest_change(), mix, profile)
            self._apply(
                "rate_change", change.at, by, details, lambda: self._swarm.change_rates(change)
            )
            self._note(change)

    def replay(self, changes: Iterable[NewRates]) -> None:
        """Take up the changes of a killed run, which its processes know."""
        for change in changes:
            self._note(change)

    def mean_level(self, s: float) -> float:
        """Return the mean level of the model's own profile from the start to schedule time `s`.

        While another profile applied it counts as 1: the database's rates are the steady ones.
        """
        return self._own_levels.unit_time(s) / s if s > 0 else 1.0

    def _note(self, change: NewRates) -> None:
        self.mix, self.profile = change.mix, change.profile
        self._own_levels.change(change.at, 1.0, self._own_or_steady(change.profile))

    def _own_or_steady(self, profile: ProfileName) -> Profile:
        return self._profiles["workload" if profile == "workload" else "steady"]

    def pause(self, reason: str, *, by: str) -> None:
        """Let nothing fall due until `resume`; a second pause keeps the first reason."""
        with self._lock:
            if self.paused is None:
                at = self._swarm.earliest_change()
                self._apply("pause", at, by, {"reason": reason}, lambda: self._swarm.pause(at))
                self.paused = PauseReason(reason, by)

    def resume(self, *, by: str) -> None:
        """Offer arrivals again; those of the paused time are not made up for."""
        with self._lock:
            if self.paused is not None:
                # A pause is never refused, since it may protect the source.
                self._require_room("resume", "pauses")
                self._await_start()
                at = self._swarm.earliest_change()
                self._apply("resume", at, by, {}, self._swarm.resume)
                self.paused = None

    def _require_room(self, kind: str, changes: str) -> None:
        """Raise JournalFullError if the journal takes no more changes of that kind."""
        if self._journaled[kind] >= _MOST_OF_A_KIND:
            raise JournalFullError(
                f"this run has had {_MOST_OF_A_KIND:,} {changes}, which is all that its journal "
                "takes: start another run"
            )

    def _await_start(self) -> None:
        """Wait for the clock's start, before which it can't resume; it takes 5 s at most."""
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
        """Journal a change, then announce it, so that a resumed run knows all that were applied."""
        number = self._record.journal(kind, None, **details, by=by, schedule_seconds=at)
        self._journaled[kind] += 1
        self.applied_by = announce()
        self._record.amend(number, applied_by=self.applied_by)
