"""Figures of a real server: WAL that grows with writes, processor time from /proc."""

import os
import sys
from pathlib import Path

import pytest

from loadgen.source.environment import processor_seconds, resources_used
from loadgen.source.postgres import connect


def test_a_server_tells_its_wal_and_its_processor_time(database: str) -> None:
    """Both grow with work, and never shrink; a backend that ended is counted still."""
    with connect(database) as first:
        before = resources_used(first)
        with connect(database) as worker:
            worker.execute(
                "CREATE TABLE w AS SELECT md5(i::text) FROM generate_series(1, 300000) i"
            )
        after = resources_used(first)
    assert isinstance(before.wal_bytes, int)
    assert isinstance(after.wal_bytes, int)
    assert after.wal_bytes > before.wal_bytes + 1_000_000
    assert after.server_started_at == before.server_started_at
    if not sys.platform.startswith("linux"):
        pytest.skip("no /proc")
    assert isinstance(before.cpu_seconds, float)
    assert isinstance(after.cpu_seconds, float)
    assert after.cpu_seconds > before.cpu_seconds


def test_a_process_that_is_no_server_s_is_not_measured(tmp_path: Path) -> None:
    """Another machine's process, or one of ours that Postgres did not start."""
    assert processor_seconds(os.getpid()) is None
    assert processor_seconds(1, tmp_path) is None
