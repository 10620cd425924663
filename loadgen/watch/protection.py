"""Source protection: pauses the load when a slot's WAL or the disk passes its limit.

Only a person resumes the load. It is paused once for each danger, and again for the same danger
only after that has passed, or in another run.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loadgen.config.settings import Settings
from loadgen.control import ControlError, LoadControl
from loadgen.source.observe import Slot
from loadgen.watch.notifier import Notifier

_TOPIC = "danger"


@dataclass(frozen=True, slots=True)
class Danger:
    """A slot or the disk that has passed its limit, with a line of figures."""

    subject: str
    text: str


def dangers(slots: Iterable[Slot], free_bytes: int | None, settings: Settings) -> list[Danger]:
    """Return the limits that are passed; the disk's `free_bytes` are None if unknown."""
    most, least = settings.max_slot_retained_bytes, settings.min_free_disk_bytes
    passed = [
        Danger(
            f"slot {slot.slot}",
            f"slot {slot.slot} retains {slot.retained_bytes:,} bytes of WAL, more than "
            f"MAX_SLOT_RETAINED_BYTES={most:,}",
        )
        for slot in slots
        if slot.retained_bytes is not None and slot.retained_bytes > most
    ]
    if free_bytes is not None and free_bytes < least:
        text = f"{free_bytes:,} bytes of disk are left, less than MIN_FREE_DISK_BYTES={least:,}"
        passed.append(Danger("disk", text))
    return passed


class Protection:
    """Pauses the load of this machine through its control API."""

    def __init__(self, settings: Settings, notifier: Notifier) -> None:
        self._control = LoadControl.of(settings)
        self._notifier = notifier
        self._paused_for: set[tuple[str, str]] = set()  # run and subject of a danger
        self._lost: set[str] = set()  # slots that have been reported as lost

    def check(self, present: Sequence[Danger]) -> None:
        """Pause a running load for each danger once; warn once if that is impossible."""
        subjects = {danger.subject for danger in present}
        self._paused_for = {
            (run, subject) for run, subject in self._paused_for if subject in subjects
        }
        if not present:
            self._notifier.resolve(_TOPIC)
            return
        reason = "; ".join(danger.text for danger in present)
        try:
            self._pause(subjects, reason)
        except ControlError as exc:
            self._notifier.warn(_TOPIC, f"{reason}; no load was paused: {exc}")

    def report_lost(self, slots: Iterable[Slot]) -> None:
        """Print and journal each slot that is lost: its tool has to sync from scratch."""
        lost = {slot.slot: slot.invalidation_reason for slot in slots if slot.wal_status == "lost"}
        for name in lost.keys() - self._lost:
            self._notifier.inform(
                f"loadgen: slot {name} is lost: its tool has to sync from scratch"
            )
            with suppress(ControlError):  # no load, no journal
                entry = {"kind": "slot_lost", "slot": name, "reason": lost[name], "by": "watch"}
                self._control.ask("journal", entry)
        self._lost = set(lost)

    def _pause(self, subjects: set[str], reason: str) -> None:
        load = self._control.ask("rates")
        run_id = str(load.get("run_id"))
        causes = {(run_id, subject) for subject in subjects}
        if causes <= self._paused_for:
            return
        if load.get("state") != "running":  # checked again after the next observation
            self._notifier.warn(_TOPIC, f"{reason}; the load is {load.get('state')}")
            return
        self._control.ask("pause", {"reason": reason, "by": "watch"})
        self._paused_for |= causes
        self._notifier.inform(f"loadgen: the load is paused: {reason}; `loadgen resume` resumes it")
