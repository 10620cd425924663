"""Errors of one line: other programs' messages, without losing the reason."""

import re
from pathlib import Path

import psycopg
import pytest
from botocore.exceptions import ClientError

import loadgen
from loadgen.costs.aws.client import call_aws
from loadgen.costs.lines import Unavailable
from loadgen.errors import PlaygroundError, one_line
from loadgen.source.postgres import explain
from loadgen.tools.runners import background

SNOWFLAKE = "002003 (02000): SQL compilation error:\nObject 'USERS' does not exist."


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (SNOWFLAKE, "002003 (02000): SQL compilation error: Object 'USERS' does not exist."),
        ("\n  one\r\n\n\ttwo\n", "one two"),
        (
            "Binder Error: no b\n\nLINE 1: SELECT b\n               ^",
            "Binder Error: no b LINE 1: SELECT b",
        ),
        ("", ""),
        (None, "None"),
    ],
)
def test_lines_are_joined(message: object, line: str) -> None:
    """What only points at a place in the line above is left out."""
    assert one_line(message) == line


def test_a_long_message_keeps_its_begin_and_its_end() -> None:
    """Its cause may be at either."""
    line = one_line("begin\n" + "x" * 1000 + "\nthe cause", 90)
    assert len(line) <= 90
    assert line.startswith("begin x")
    assert " … " in line
    assert line.endswith("x the cause")


def test_a_connection_tells_of_each_try() -> None:
    """With two addresses, or TLS tried first, the reason may be in any line."""
    error = psycopg.OperationalError(
        'connection failed: connection to server at "h", port 1 failed: Connection refused\n'
        "\tIs the server running on that host and accepting TCP/IP connections?\n"
        'connection to server at "i", port 1 failed: FATAL:  database "d" does not exist'
    )
    said = str(explain(error, "postgresql://u@h:1/d"))
    assert "there is no database 'd'" in said
    assert "Is the server running" not in said


def test_aws_says_why_in_any_line() -> None:
    """Also where botocore's own message has several."""

    def refuse() -> None:
        raise ClientError({"Error": {"Code": "Odd", "Message": "not done:\nthe cause"}}, "Get")

    assert call_aws("s3:Get", refuse) == Unavailable("s3:Get: not done: the cause (Odd)")


def test_a_runner_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exception's whole message, and nothing of what an earlier start has left in the log."""
    (tmp_path / background.LOG).write_text("an old word\n")
    (tmp_path / "odd_runner.py").write_text("raise ValueError('not started:\\nthe cause\\nmore')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PlaygroundError, match="ValueError: not started: the cause more") as refused:
        background.launch(tmp_path, "odd_runner")
    assert "an old word" not in str(refused.value)


def test_no_message_is_cut_to_its_first_line() -> None:
    """Nowhere in the package: `one_line` is there for it."""
    cut = re.compile(r"""partition\("\\n"\)\[0\]|split(lines\(\)|\("\\n"\))\[(0|-1)\]""")
    files = list(Path(loadgen.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    assert [str(file) for file in files if cut.search(file.read_text(encoding="utf-8"))] == []
