"""What can be changed while a load runs: its rates, its profile, and whether it pauses.

Every change takes effect at an instant that all processes know, is acknowledged by them, and is
journaled: when, what, from, to, by which way.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.engine.protocol import Applied, Swarm
from loadgen.record import RunRecord
from loadgen.workload.mix import Mix
from loadgen.workload.plan import Plan
from loadgen.workload.profiles import ProfileName


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the load stands still, and who wanted it."""

    reason: str
    by: str


class Tuning:
    """The state in force of one run; changes come one at a time."""

    def __init__(self, swarm: Swarm, record: RunRecord, plan: Plan) -> None:
        self.mix = plan.mix
        self.profile: ProfileName = plan.profile
        self.applied_by = ""  # of the newest change; empty before the first
        self.paused: Pause | None = None
        self._swarm = swarm
        self._record = record
        self._one_at_a_time = threading.RLock()

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
            self.mix, self.profile = mix, profile
            details: dict[str, object] = {"rates_per_hour": changed} if changed else {}
            if profile != before:
                details["profile"] = {"from": before, "to": profile}
            self._journal("rate_change", self._swarm.change(mix, profile), by, details)

    def pause(self, reason: str, *, by: str) -> None:
        """Let nothing fall due until `resume`; the first reason stays."""
        with self._one_at_a_time:
            if self.paused is None:
                self.paused = Pause(reason, by)
                self._journal("pause", self._swarm.pause(), by, {"reason": reason})

    def resume(self, *, by: str) -> None:
        """Go on offering; what would have fallen due meanwhile is not made up."""
        with self._one_at_a_time:
            if self.paused is not None:
                self.paused = None
                self._journal("resume", self._swarm.resume(), by, {})

    def _journal(self, kind: str, applied: Applied, by: str, details: Mapping[str, object]) -> None:
        self.applied_by = applied.by
        self._record.journal(
            kind,
            None,
            **details,
            by=by,
            applied_by=applied.by,
            schedule_seconds=applied.at,
        )
