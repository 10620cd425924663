"""Sums of a copy's living rows, in one statement of each engine."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import DestinationError
from loadgen.tools.readers.sums_probe import SumsProbe, source_as_tool
from tests.conftest import Cluster, Fakesnow
from tests.copies import Copy, duckdb_copy, make_source, postgres_copy, snowflake_copy

COLUMNS = (("samples", "amount"), ("other", "n"), ("samples", "small"), ("samples", "loose"))
NOT_A_NUMBER = "id IN (55, 56)"  # rows with NaN and infinity

Made = Callable[[str, str], AbstractContextManager[Copy]]


@pytest.fixture
def make_copy(cluster: Cluster, fakesnow: Fakesnow, tmp_path: Path) -> Made:
    """Return a maker of copies by the name of an engine."""

    def made(engine: str, source: str) -> AbstractContextManager[Copy]:
        if engine == "snowflake":
            return snowflake_copy(fakesnow, source)
        if engine == "duckdb":
            return duckdb_copy(tmp_path, source)
        return postgres_copy(cluster, source, alike=False)

    return made


@pytest.mark.parametrize("engine", ["postgres", "duckdb", "snowflake"])
def test_a_copy_has_the_sums_of_its_source(engine: str, database: str, make_copy: Made) -> None:
    """Rows that are deleted softly do not count, and decimals that landed as floats are exact."""
    make_source(database)
    with make_copy(engine, database) as copy:
        copy.at_source(f"DELETE FROM samples WHERE {NOT_A_NUMBER}")
        copy.at_source("CREATE TABLE other (n int)")
        table = copy.tool.place_of("samples")
        probe = SumsProbe(copy.tool, load_settings(copy.settings), COLUMNS)
        source = SumsProbe(source_as_tool(database), load_settings(), COLUMNS)
        try:
            assert probe.read() is None  # `other` has not arrived yet
            copy.execute(f"CREATE TABLE {copy.tool.place_of('other')} (n integer)")
            if engine == "snowflake":
                copy.execute(f"UPDATE {table} SET _fivetran_deleted = TRUE WHERE {NOT_A_NUMBER}")
            else:
                copy.execute(f"DELETE FROM {table} WHERE {NOT_A_NUMBER}")
            sums = probe.read()
            assert sums == source.read()
            assert sums is not None
            assert sums["other", "n"] == 0
            assert sums["samples", "loose"] % 1 in {0, 0.5}
            probe.close()
            copy.execute(f"UPDATE {table} SET amount = amount + 1 WHERE id = 1")
            again = probe.read()
            assert again is not None
            assert again["samples", "amount"] - sums["samples", "amount"] == 1
        finally:
            probe.close()
            source.close()


def test_a_missing_column_is_named(database: str, make_copy: Made) -> None:
    """The error names the copy's table and the column that it lacks."""
    make_source(database)
    with make_copy("duckdb", database) as copy:
        probe = SumsProbe(copy.tool, load_settings(), [("samples", "total")])
        with pytest.raises(DestinationError, match="samples has no column total"):
            probe.read()


def test_what_is_no_number_is_refused(database: str) -> None:
    """A sum of NaN could not be compared."""
    make_source(database)
    probe = SumsProbe(source_as_tool(database), load_settings(), [("samples", "loose")])
    with pytest.raises(DestinationError, match="is NaN, no number"):
        probe.read()
