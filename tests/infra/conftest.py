"""Outcomes of the Pulumi program for each configuration, from a single run."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.pulumi_cases import CASES, WITH_RDS
from tests.stack import ROOT


@pytest.fixture(scope="session")
def told() -> dict[str, Any]:
    """Return the program's outcome in each case, and its settings; one process runs all cases."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.pulumi_runs"],
        cwd=ROOT,
        input=json.dumps(CASES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def runs(told: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that returns a case's outcome."""
    return lambda case: dict(told["runs"][CASES.index(case)])


@pytest.fixture
def bucket_only(runs: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return the outcome without any configuration."""
    return runs({"config": {}})


@pytest.fixture
def with_rds(runs: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return the outcome with RDS in its default size, which is small."""
    return runs({"config": WITH_RDS})
