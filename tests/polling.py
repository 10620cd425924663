"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import Any

import pytest


def wait_for(found: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Return what `found` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    pytest.fail(f"waited {seconds:g} s for {what}")
