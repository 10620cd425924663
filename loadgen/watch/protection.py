"""Source protection: what endangers the source, and the pause of the load that it calls for.

Going on is a person's act: for a danger that the load was paused for it is not paused again, until
that danger has passed or another run has begun.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loadgen.config.settings import Settings
from loadgen.control import ControlError, LoadControl
from loadgen.source.observe import Slot
from loadgen.watch.notices import Notices

_TOPIC = "danger"


@dataclass(frozen=True, slots=True)
class Danger:
    """Something that has passed its limit: what (a slot's name, or the disk), and the figures."""

    what: str
    text: str


def dangers(slots: Iterable[Slot], free_bytes: int | None, settings: Settings) -> list[Danger]:
    """Return what has passed its limit; `free_bytes` of disk are None where nobody knows."""
    most, least = settings.max_slot_retained_bytes, settings.min_free_disk_bytes
    found = [
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
        found.append(Danger("disk", text))
    return found


class Protection:
    """Pauses the load of this machine through its control door."""

    def __init__(self, settings: Settings, notices: Notices) -> None:
        self._control = LoadControl.of(settings)
        self._notices = notices
        self._answered: set[tuple[str, str]] = set()  # run and danger that it was paused for
        self._lost: set[str] = set()  # slots that were said to be

    def check(self, found: Sequence[Danger]) -> None:
        """Pause a running load for each danger once; what can't be done is said once."""
        present = {danger.what for danger in found}
        self._answered = {(run, what) for run, what in self._answered if what in present}
        if not found:
            self._notices.over(_TOPIC)
            return
        reason = "; ".join(danger.text for danger in found)
        try:
            self._pause(found, reason)
        except ControlError as exc:
            self._notices.warn(_TOPIC, f"{reason}; no load was paused: {exc}")

    def tell_lost(self, slots: Iterable[Slot]) -> None:
        """Say, and have the load journal, each slot that is lost: its tool begins from scratch."""
        lost = {slot.slot: slot.invalidation_reason for slot in slots if slot.wal_status == "lost"}
        for name in lost.keys() - self._lost:
            self._notices.say(f"loadgen: slot {name} is lost: its tool has to sync from scratch")
            with suppress(ControlError):  # no load, no journal
                entry = {"kind": "slot_lost", "slot": name, "reason": lost[name], "by": "watch"}
                self._control.ask("journal", entry)
        self._lost = set(lost)

    def _pause(self, found: Sequence[Danger], reason: str) -> None:
        state = self._control.ask("rates")
        run = str(state.get("run_id"))
        answered = {(run, danger.what) for danger in found}
        if answered <= self._answered:
            return
        if state.get("state") != "running":  # asked again at the next look
            self._notices.warn(_TOPIC, f"{reason}; the load is {state.get('state')}")
            return
        self._control.ask("pause", {"reason": reason, "by": "watch"})
        self._answered |= answered
        self._notices.say(f"loadgen: the load is paused: {reason}; `loadgen resume` goes on")
