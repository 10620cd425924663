"""Dangers to the source, and when the load is paused for one: against a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from loadgen.config.settings import Settings, load_settings
from loadgen.source.observe import Slot
from loadgen.watch.notifier import Notifier
from loadgen.watch.protection import Danger, Protection, dangers
from tests.conftest import find_free_port

SLOT = Danger("slot a", "slot a retains much")
DISK = Danger("disk", "the disk is full")


class ControlApi:
    """A load's control API: it keeps the posted requests, and answers with a given state."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"run_id": "run-1", "state": "running"}
        self.posts: list[tuple[str, Any]] = []
        control = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                control.posts.append((self.path, json.loads(body)))
                if self.path.endswith("/pause"):
                    control.state["state"] = "paused"
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(control.state).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def reasons(self) -> list[str]:
        """Return the reasons of the pauses."""
        assert all(path == "/loadgen/pause" and body["by"] == "watch" for path, body in self.posts)
        return [body["reason"] for _, body in self.posts]


@pytest.fixture
def control() -> Iterator[ControlApi]:
    """Run a control API."""
    control = ControlApi()
    thread = threading.Thread(target=control.server.serve_forever, args=(0.02,))
    thread.start()
    yield control
    control.server.shutdown()
    thread.join()
    control.server.server_close()


@pytest.fixture
def protection(control: ControlApi) -> Protection:
    """Return the protection that uses it."""
    return Protection(settings(metrics_port=control.server.server_port), Notifier())


def settings(**given: object) -> Settings:
    """Return settings with these values."""
    return load_settings(given)


def slot(name: str, retained: int | None) -> Slot:
    """Return a slot that retains so many bytes."""
    return Slot(name, False, "reserved", retained, 0, None, None, None)


def test_a_limit_is_passed_only_above_it() -> None:
    """A slot that never held WAL, and a disk of unknown size, endanger nothing."""
    limits = settings(max_slot_retained_bytes=100, min_free_disk_bytes=50)
    assert dangers([slot("a", 100), slot("b", None)], 50, limits) == []
    assert dangers([slot("a", 100)], None, limits) == []
    found = dangers([slot("a", 101), slot("b", 5000)], 49, limits)
    assert [danger.subject for danger in found] == ["slot a", "slot b", "disk"]
    assert "retains 5,000 bytes of WAL, more than MAX_SLOT_RETAINED_BYTES=100" in found[1].text
    assert found[2].text == "49 bytes of disk are left, less than MIN_FREE_DISK_BYTES=50"


def test_going_on_is_a_person_s_act(control: ControlApi, protection: Protection) -> None:
    """It is paused once; resumed, it is paused again only when the danger had passed."""
    for _ in range(3):
        protection.check([SLOT])
    control.state["state"] = "running"
    protection.check([SLOT])
    assert control.reasons() == [SLOT.text]
    protection.check([])
    protection.check([SLOT])
    assert control.reasons() == [SLOT.text] * 2


def test_another_danger_pauses_again(control: ControlApi, protection: Protection) -> None:
    """Resumed in spite of one danger, the load is paused for the next."""
    protection.check([SLOT])
    control.state["state"] = "running"
    protection.check([SLOT, DISK])
    assert control.reasons() == [SLOT.text, f"{SLOT.text}; {DISK.text}"]


def test_another_run_is_paused_for_a_danger_that_lasts(
    control: ControlApi, protection: Protection
) -> None:
    """A load that starts while a slot is too full is paused too."""
    protection.check([SLOT])
    control.state.update(run_id=None, state="idle")
    protection.check([SLOT])
    control.state.update(run_id="run-2", state="running")
    protection.check([SLOT])
    assert control.reasons() == [SLOT.text] * 2


def test_a_load_that_somebody_paused_is_left_until_it_goes_on(
    control: ControlApi, protection: Protection
) -> None:
    """Their reason stays in the journal; ours comes when they resume."""
    control.state["state"] = "paused"
    protection.check([SLOT])
    assert control.posts == []
    control.state["state"] = "running"
    protection.check([SLOT])
    assert control.reasons() == [SLOT.text]


def test_a_danger_without_a_load_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The warning comes again only after the danger has passed."""
    protection = Protection(settings(metrics_port=find_free_port()), Notifier())
    for found in ([SLOT], [SLOT], [], [SLOT]):
        protection.check(found)
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 2
    assert all("slot a retains much; no load was paused: no load answers" in w for w in warned)


def test_a_lost_slot_is_journaled_once(control: ControlApi, protection: Protection) -> None:
    """Nothing is paused for it: there is nothing left to protect."""
    gone = Slot("a", False, "lost", None, None, None, None, "wal_removed")
    for slots in ([slot("a", 1)], [gone], [gone, slot("b", 1)], [], [gone]):
        protection.report_lost(slots)
    entry = {"kind": "slot_lost", "slot": "a", "reason": "wal_removed", "by": "watch"}
    assert control.posts == [("/loadgen/journal", entry)] * 2
