"""`loadgen workload`: lists, shows and checks."""

import json
from pathlib import Path

import pytest

from loadgen import cli

SHOWN = """
transaction: 3,600 per hour (--transaction-per-hour)
  UPDATE public.pgbench_accounts SET abalance = abalance + :delta WHERE aid =
    :aid
  UPDATE public.pgbench_tellers SET tbalance = tbalance + :delta WHERE tid =
    :tid
  UPDATE public.pgbench_branches SET bbalance = bbalance + :delta WHERE bid =
    :bid
  INSERT INTO public.pgbench_history (tid, bid, aid, delta, mtime)
  VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP)
  parameters: aid = pgbench_accounts.aid of a row
              tid = pgbench_tellers.tid of a row
              bid = pgbench_branches.bid of a row
              delta = -5,000 to 5,000
  proof of a lost write: none: a lost write stays unknown

check account_balances: balances of accounts = sum of the history
check teller_balances: balances of tellers = sum of the history
check branch_balances: balances of branches = sum of the history
conserved balance: sums of pgbench_accounts.abalance, pgbench_tellers.tbalance,
  pgbench_branches.bbalance and pgbench_history.delta
"""


def test_a_workload_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables with rows, key and values, its statements and their proof."""
    assert cli.main(["workload", "show", "tpcb"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith(SHOWN)
    assert "pgbench_accounts: 100,000 rows, key (aid)" in shown
    assert "pgbench_history: 0 rows, no key" in shown


@pytest.mark.parametrize("name", ["shop", "tpcb", "shop+transfers"])
def test_what_is_shown_fits_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the width of the terminal."""
    assert cli.main(["workload", "show", name]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_built_in_ones_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With their tables and operations."""
    assert cli.main(["workload", "list"]) == 0
    listed = capsys.readouterr().out
    assert "users, orders, events" in listed
    assert "soft_delete_user" in listed


def test_a_profile_is_shown_and_followed_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `show`, `settings` and `plan`; PROFILE=steady switches it off, a workload may lack it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROFILE", raising=False)
    toml = (
        'profile = { every = "1h", levels = [3, 1] }\n[tables.a]\nrows = 1\n'
        'columns.id = { generate = "uuid" }\n[operations.add]\nper_hour = 100\ninsert = "a"\n'
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "workload.toml").write_text(toml)
    monkeypatch.setenv("WORKLOAD", "own")
    monkeypatch.setenv("ARRIVALS", "even")

    def output(*arguments: str, code: int = 0) -> str:
        assert cli.main([*arguments]) == code
        return "".join(capsys.readouterr())

    def last_due() -> float:
        return float(output("plan", "--count", "100").splitlines()[-1].split()[2])

    shown = "profile: 2 levels of 1h each, 0.5 to 1.5 times the rates; then again"
    assert shown in output("workload", "show", "own")
    assert json.loads(output("settings", "--json"))["PROFILE"]["value"] == "workload"
    assert last_due() == pytest.approx(99.5 * 36 / 1.5)
    monkeypatch.setenv("PROFILE", "steady")
    assert json.loads(output("settings", "--json"))["PROFILE"]["value"] == "steady"
    assert last_due() == pytest.approx(99.5 * 36)
    monkeypatch.setenv("PROFILE", "workload")
    monkeypatch.setenv("WORKLOAD", "shop")
    assert output("plan", code=2) == (
        "loadgen: error: PROFILE is 'workload', but the workload has none: write `profile` into "
        "its workload.toml, or choose steady, diurnal, burst or ramp\n"
    )


def test_a_check_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the workload's size and the operations without a proof, or the mistake."""
    assert cli.main(["workload", "check"]) == 0
    assert cli.main(["workload", "check", "tpcb"]) == 0
    assert capsys.readouterr().out == (
        "shop can be read, and was not checked with Postgres: 3 tables, 26,000 rows, 4 operations, "
        "each with a proof; `loadgen db up`, then check again\n"
        "tpcb can be read, and was not checked with Postgres: 4 tables, 100,011 rows, 1 operation, "
        "no proof of transaction; `loadgen db up`, then check again\n"
    )
    (tmp_path / "workload.toml").write_text("titel = 'x'", encoding="utf-8")
    assert cli.main(["workload", "check", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"loadgen: error: {tmp_path}/workload.toml, titel: no such key: did you mean title?\n"
    )
