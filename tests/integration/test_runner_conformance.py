"""What every runner has to do, step by step, on a real source; a runner is one line of CASES.

What a runner can't do is declared in abilities.py, and shown to be so here. The tables of page and
report are made of the same data.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from loadgen.config.settings import Settings, load_settings
from loadgen.errors import DestinationError
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners.abilities import ABILITIES, STEPS
from loadgen.tools.runners.lifecycle import (
    living_processes,
    remove_tool,
    start_tool,
    status_of,
    stop_tool,
)
from loadgen.tools.runners.own_venv import FOLDER
from loadgen.tools.runners.runners import RUNNERS, runner_of
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.untrusted import parse_toml
from loadgen.verify.mapping import map_tables
from tests.conftest import Cluster, running_cluster
from tests.polling import wait_for

PAGE = Path(__file__).parents[2] / "docs" / "method" / "tools.md"
SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"


@dataclass(frozen=True, slots=True)
class RunnerCase:
    """A runner, and the rest of its entry in tools.toml."""

    runner: str
    entry: str

    @property
    def cannot(self) -> frozenset[str]:
        """The steps that it can't do."""
        return ABILITIES[self.runner].cannot


CASES = (
    RunnerCase("replication", 'kind = "postgres"\ndestination = "postgres"'),
    RunnerCase(
        "dlt",
        'kind = "dlt"\ndestination = "duckdb"\nschema = "playground"\ninterval_seconds = 0.5',
    ),
    RunnerCase("rivet", 'kind = "generic"\ndestination = "parquet"\ninterval_seconds = 0.5'),
    RunnerCase("simplyload", 'kind = "simplyload"\ndestination = "duckdb"\ninterval_seconds = 0.5'),
)


@dataclass
class Trial:
    """One runner's tool, and the source that it copies."""

    tool: Tool
    settings: Settings
    dsn: str
    project: Path  # of the source's server
    numbers: Iterator[int] = field(default_factory=count)
    wrong: set[str] = field(default_factory=set)  # words in which source and copy stay different

    def execute(self, statement: str, *parameters: object) -> Any:
        """Commit a statement at the source; return its first row."""
        with connect(self.dsn) as conn:
            cursor = conn.execute(statement, parameters)
            return cursor.fetchone() if cursor.description else None

    def insert(self) -> str:
        """Commit a row; return its word."""
        word = f"row {next(self.numbers)}"
        self.execute("INSERT INTO hard_cases (case_name, word) VALUES ('plain', %s)", word)
        return word

    def source_words(self) -> set[str]:
        """Return the words of the source."""
        with connect(self.dsn) as conn:
            return {word for (word,) in conn.execute("SELECT word FROM hard_cases")}

    @cached_property
    def copy_name(self) -> tuple[str, str]:
        """The copy's name of the table, and the condition for its rows that count."""
        source, reader = (
            PostgresReader(self.dsn, is_source=True),
            open_copy(self.tool, self.settings),
        )
        try:
            table = published_tables(source)["hard_cases"]
            (pair,) = map_tables(self.tool, [table], reader.tables(self.tool.schema_name)).pairs
            return pair.copy_name, pair.live
        finally:
            source.close()
            reader.close()

    def copy_words(self) -> set[str]:
        """Return the words of the copy; none while it can't be read."""
        try:
            name, live = self.copy_name
            reader = open_copy(self.tool, self.settings)
            try:
                return {row[0] for row in reader.query(f"SELECT word FROM {name} WHERE {live}")}
            finally:
                reader.close()
        except (DestinationError, ValueError):
            return set()

    def arrives(self, *words: str) -> None:
        """Wait until the rows are in the copy."""
        wait_for(lambda: self.copy_words().issuperset(words), f"{words} in the copy", 120)

    def is_right(self) -> None:
        """Wait until the copy has what the source has, and no more."""
        wait_for(
            lambda: self.copy_words() ^ self.source_words() == self.wrong, "the right copy", 120
        )

    def remove_from_copy(self, word: str) -> None:
        """Delete a row at the copy, which only a new copy of all rows would bring back."""
        name, _ = self.copy_name
        statement = f"DELETE FROM {name} WHERE word = '{word}'"
        if self.tool.destination == "parquet":
            (file,) = (self.tool.parquet_folder / "hard_cases" / "snapshot").glob("*.parquet")
            rest = f"SELECT * FROM '{file}' WHERE word <> '{word}'"
            duckdb.sql(f"COPY ({rest}) TO '{file}.new' (FORMAT parquet)")
            Path(f"{file}.new").replace(file)
            return
        if self.tool.destination == "duckdb":
            with duckdb.connect(str(self.tool.duckdb_file)) as copy:
                copy.execute(statement)
        else:
            running = server.status(self.tool.folder)
            assert running is not None
            with connect(running.dsn) as conn:
                conn.execute(statement)

    @contextmanager
    def destination_away(self) -> Iterator[None]:
        """Stop the copy's server, open its file as another program would, or move its folder."""
        if self.tool.destination == "postgres":
            assert server.stop(self.tool.folder)
            assert not status_of(self.tool).running
            yield
            server.start(self.tool.folder)
            return

        if self.tool.destination == "parquet":
            folder = self.tool.parquet_folder
            moved = folder.rename(folder.with_name("elsewhere"))
            folder.touch()
            wait_for(lambda: status_of(self.tool).problem, "the tool to notice", 120)
            yield
            folder.unlink()
            moved.rename(folder)
            return

        def opened() -> Any:
            try:
                return duckdb.connect(str(self.tool.duckdb_file))
            except duckdb.IOException:  # the tool has it open
                return None

        with wait_for(opened, "the file"):
            wait_for(lambda: status_of(self.tool).problem, "the tool to notice", 120)
            yield


def position(text: str) -> Any:
    """Return a position in a form that can be compared: a number, or a time."""
    if "/" in text:
        high, low = text.split("/")
        return (int(high, 16) << 32) + int(low, 16)
    return datetime.fromisoformat(text)


# The steps, in order. Each returns whether the runner can do it; most fail instead.


def installs(trial: Trial) -> bool:
    """Twice, since the second time everything is there."""
    runner = runner_of(trial.tool)
    return runner.install(trial.tool) == runner.install(trial.tool)


def copies_first(trial: Trial) -> bool:
    """All rows that are there when it starts; only then does it say so."""
    trial.execute(
        "INSERT INTO hard_cases (case_name, word) SELECT 'plain', 'old ' || n "
        "FROM generate_series(1, 500) AS n"
    )
    assert not status_of(trial.tool).copied
    assert start_tool(trial.tool, trial.settings)
    wait_for(lambda: status_of(trial.tool).copied, "the first copy", 120)
    assert trial.copy_words() == trial.source_words()
    assert living_processes(trial.tool)[0]
    assert not start_tool(trial.tool, trial.settings)  # it runs already
    return True


def keeps_up(trial: Trial) -> bool:
    """New rows and changed ones."""
    for _ in range(3):
        trial.insert()
    trial.execute("UPDATE hard_cases SET word = 'changed' WHERE word = 'old 1'")
    trial.is_right()
    return True


def deletes(trial: Trial) -> bool:
    """Judged once two later rows have arrived, the second written after the first was seen."""
    trial.execute("DELETE FROM hard_cases WHERE word = 'old 2'")
    for _ in range(2):
        trial.arrives(trial.insert())
    arrived = "old 2" not in trial.copy_words()
    if not arrived:
        trial.wrong.add("old 2")
    return arrived


def tells_position(trial: Trial) -> bool:
    """Writes committed up to its position are in the copy, and the position moves on."""
    before = trial.insert()
    shown = wait_for(lambda: status_of(trial.tool).position, "a position", 120)
    mark = "pg_current_wal_insert_lsn()" if "/" in shown else "clock_timestamp()"
    (reached,) = trial.execute(f"SELECT {mark}")
    reached = position(reached) if isinstance(reached, str) else reached
    trial.insert()
    wait_for(lambda: position(status_of(trial.tool).position or "") >= reached, "it to move", 120)
    assert before in trial.copy_words()
    return True


def stops(trial: Trial) -> bool:
    """It does not count as crashed, and the slot that it reads stays."""
    assert stop_tool(trial.tool)
    assert not stop_tool(trial.tool)
    assert not status_of(trial.tool).running
    assert not living_processes(trial.tool)[1]
    return trial.execute(SLOTS) is not None


def resumes(trial: Trial) -> bool:
    """Writes made while it was stopped arrive; rows copied before are not copied again."""
    before = status_of(trial.tool).position
    trial.remove_from_copy("old 3")
    meanwhile = trial.insert()
    start_tool(trial.tool, trial.settings)
    trial.arrives(meanwhile, trial.insert())
    after = status_of(trial.tool).position
    assert position(after or "") >= position(before or "")
    resumed = "old 3" not in trial.copy_words()
    if resumed:
        trial.wrong.add("old 3")
    return resumed


def outlives_source_restart(trial: Trial) -> bool:
    """It says that the source is away, and continues by itself."""
    server.stop(trial.project)
    wait_for(lambda: status_of(trial.tool).problem, "the tool to notice", 120)
    server.start(trial.project, options={"fsync": "off"})
    trial.arrives(trial.insert())
    wait_for(lambda: status_of(trial.tool).problem is None, "the end of the problem", 120)
    return True


def outlives_destination_outage(trial: Trial) -> bool:
    """Writes during the outage arrive, without a new start."""
    with trial.destination_away():
        meanwhile = trial.insert()
    trial.arrives(meanwhile)
    return True


def outlives_kill(trial: Trial) -> bool:
    """All its processes are killed at once: it counts as crashed, and continues once started."""
    for pid in living_processes(trial.tool)[0]:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            process.kill()
    meanwhile = trial.insert()
    wait_for(lambda: living_processes(trial.tool)[1], "the crash")
    assert "it has crashed or was killed" in (status_of(trial.tool).problem or "")
    assert start_tool(trial.tool, trial.settings)
    assert not living_processes(trial.tool)[1]
    trial.arrives(meanwhile)
    trial.is_right()
    return True


def is_removed(trial: Trial) -> bool:
    """Only the installed files and an empty lock are left; a second removal changes nothing."""
    for _ in range(2):
        remove_tool(trial.tool, trial.settings)
        assert trial.execute(SLOTS) is None
        assert living_processes(trial.tool) == ((), False)
        assert not status_of(trial.tool).copied
        left = [path for path in trial.tool.folder.rglob("*") if FOLDER not in path.parts]
        assert [path for path in left if path.is_file() and path.suffix != ".lock"] == []
    return True


ACTIONS: tuple[Callable[[Trial], bool], ...] = (
    installs,
    copies_first,
    keeps_up,
    deletes,
    tells_position,
    stops,
    resumes,
    outlives_source_restart,
    outlives_destination_outage,
    outlives_kill,
    is_removed,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Cluster]]:
    """Run a source of this module's own, which it restarts."""
    project = tmp_path_factory.mktemp("source")
    with running_cluster(project) as running:
        yield project, running


@pytest.fixture
def trial_of(
    source: tuple[Path, Cluster], project: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[RunnerCase], Trial]]:
    """Return a maker of trials; a tool that a failed step left is removed."""
    monkeypatch.chdir(project)
    for name in [name for name in os.environ if name.startswith(("SNOWFLAKE", "TOOLS_FILE"))]:
        monkeypatch.delenv(name)
    trials: list[Trial] = []
    source_project, cluster = source
    with cluster.database("migrated_template") as dsn:
        monkeypatch.setenv("DATABASE_URL", dsn)
        with connect(dsn) as conn:
            conn.execute("ALTER PUBLICATION loadgen SET TABLE hard_cases, users")

        def make(case: RunnerCase) -> Trial:
            text = f'[tools.local]\nrunner = "{case.runner}"\n{case.entry}\n'
            (project / "tools.toml").write_text(text, encoding="utf-8")
            (tool,) = parse_tools(parse_toml(text, "tools.toml"), "tools.toml")
            trials.append(Trial(tool, load_settings(), dsn, source_project))
            return trials[-1]

        yield make
        server.start(source_project, options={"fsync": "off"})
        for trial in trials:
            remove_tool(trial.tool, trial.settings)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.runner)
def test_a_runner_does_what_is_declared(
    case: RunnerCase, trial_of: Callable[[RunnerCase], Trial]
) -> None:
    """Each step, in order, on one tool."""
    trial = trial_of(case)
    outcomes = {step: does(trial) for step, does in zip(STEPS, ACTIONS, strict=True)}
    assert outcomes == {step: step not in case.cannot for step in STEPS}


def test_every_runner_is_tested_and_the_page_says_what_each_does() -> None:
    """The table of docs/method/tools.md has a column for each runner, a row for each step."""
    assert {case.runner for case in CASES} == RUNNERS.keys() == ABILITIES.keys()
    cells = [
        ["", *(case.runner for case in CASES)],
        *([step, *("no" if step in c.cannot else "yes" for c in CASES)] for step in STEPS),
    ]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    missing = [row for row in cells if row not in table]
    assert missing == []
