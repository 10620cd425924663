"""Verification's pure parts: equal values, ranges that differ, and kinds of findings."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import md5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.commands.verify import print_outcomes
from loadgen.record.rows import DeletedRow
from loadgen.record.verify import Finding, TableOutcome
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.conventions import Lossy
from loadgen.tools.source_tables import SourceTable
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.verify.canonical import Form, column_pair, same_value
from loadgen.verify.compare import Comparison, prefetched
from loadgen.verify.deletes import deletes_of
from loadgen.verify.findings import (
    STORED_FINDINGS,
    FindingTally,
    TableContext,
    contrast,
    few_of_each_sort,
    masked,
    row_findings,
    shortened,
)
from loadgen.verify.mapping import TablePair, map_tables
from loadgen.verify.outcome import ToolOutcome, exit_code, verification
from loadgen.verify.ranges import (
    Bounds,
    Checksum,
    Range,
    join_neighbours,
    may_be_uneven,
    piece_width,
    pieces,
    segments,
    whole,
    width_for,
)
from loadgen.verify.scan import Row

POOL = ThreadPoolExecutor(2)
SOURCE = (
    CatalogColumn("word", "text"),
    CatalogColumn("id", "bigint"),
    CatalogColumn("amount", "numeric(38,20)"),
    CatalogColumn("updated_at", "timestamp with time zone"),
    CatalogColumn("version", "bigint"),
)
COPY = (
    CatalogColumn("id", "BIGINT"),
    CatalogColumn("word", "VARCHAR"),
    CatalogColumn("amount", "DOUBLE"),
    CatalogColumn("updated_at", "TIMESTAMP_MS"),
    CatalogColumn("version", "BIGINT"),
    CatalogColumn("_dlt_load_id", "VARCHAR"),
)
LOSSY = (
    Lossy(source="numeric", destination="float", keeps="float", because="t"),
    Lossy(source="timestamptz", destination="timestamp", keeps="milliseconds", because="t"),
)
TIMES = ("2026-01-01 00:00:00.123456+00", "2026-01-02 00:00:00+00")


def tool(more: str = "", kind: str = "dlt") -> Tool:
    """Return a tool that lands in DuckDB."""
    text = f'kind = "{kind}"\ndestination = "duckdb"\nfile = "c"\nschema = "s"\n{more}'
    return only(text)


def only(text: str) -> Tool:
    """Return the one tool of a table's text."""
    (found,) = parse_tools(tomllib.loads(f"[tools.t]\n{text}"), "tools.toml")
    return found


def published(**tables: tuple[CatalogColumn, ...]) -> list[SourceTable]:
    """Return published tables with the key `id`."""
    return [SourceTable("public", name, columns, ("id",)) for name, columns in tables.items()]


def table() -> TablePair:
    """Return the pair of one table."""
    (found,) = map_tables(tool(), published(rows=SOURCE), {"rows": COPY}).pairs
    return found


def row(
    key: int = 1,
    *,
    word: str | None = "a",
    amount: str = "1.5",
    at: str = TIMES[0],
    version: int = 3,
) -> Row:
    """Return a row; the key comes first, as in a pair."""
    return Row(key, "7", (str(key), word, amount, at, str(version)))


def kinds(
    source: Row | None, *copies: Row, known: TableContext | None = None
) -> list[tuple[str, str | None]]:
    """Return kind and column of the findings for one key."""
    known = known or TableContext(last_key=100, lossy=LOSSY)
    sources = [source] if source else []
    found = row_findings(table(), (source or copies[0]).key, sources, copies, known)
    return [(one.kind, one.column) for one in found]


@pytest.mark.parametrize(
    ("form", "source", "copy"),
    [
        ("number", "100000000000000000000", "1e+20"),
        ("number", "1.50", "1.5"),
        ("number", "NaN", "nan"),
        ("number", "-Infinity", "-inf"),
        ("number", "0", "-0"),
        ("plain", "NaN", "nan"),
        ("plain", "12.30", "12.3"),
        ("instant", "2026-01-01 00:00:00.12+00", "2026-01-01T00:00:00.120000Z"),
        ("instant", "2026-01-01 00:00:00+00", "2026-01-01 02:00:00+02:00"),
        ("instant", "2026-01-01 00:00:00.123456+00", "2026-01-01 00:00:00.123456000+00"),
        ("instant", "0044-03-15 00:00:00+00 BC", "0044-03-15 (BC) 00:00:00+00"),
        ("instant", "infinity", "infinity"),
        ("uuid", "ab", "AB"),
        ("json", '{"a": 1.50, "b": [true]}', '{"b":[true],"a":15e-1}'),
        ("json", f"1{'0' * 30}1", f"1.{'0' * 30}1e31"),
        ("json", '"\\u00e4"', '"ä"'),
        ("json_sorted", "{}", "{ }"),
        ("text", "a", "a"),
    ],
)  # fmt: skip
def test_one_value_in_two_texts_is_the_same(form: Form, source: str, copy: str) -> None:
    """The checksum differs there, and the value does not."""
    assert same_value(form, source, copy)


@pytest.mark.parametrize(
    ("form", "source", "copy"),
    [
        ("number", "1.5", "1.50000000000000000001"),
        ("number", "1", "one"),
        ("number", "NaN", "Infinity"),
        ("number", "Infinity", "-Infinity"),
        ("number", "NaN", "0"),
        ("number", "NaN", None),
        ("plain", "true", "1"),
        ("instant", "2026-01-01 00:00:00.123456+00", "2026-01-01 00:00:00.123456001+00"),
        ("instant", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00.000001+00"),
        ("instant", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00+02"),
        ("json", '{"a": 1}', '{"a": "1"}'),
        ("json", "[true]", "[1]"),
        ("json", "[null]", "[]"),
        ("json", '{"a": 1}', '{"a": 1, "b": null}'),
        ("json", "1", "1.00000000000000000000000000000000001"),
        ("json", '{"a": {"\\u0000number": 0}}', '{"a": 0}'),
        ("json", '"a"', "a"),
        ("json", "not json", "nor this"),
        ("json", "1", "NaN"),
        ("text", "a", "a "),
        ("text", "", None),
        ("text", "<null>", None),
        ("uuid", "ab", None),
    ],
)  # fmt: skip
def test_two_values_are_not_the_same(form: Form, source: str, copy: str | None) -> None:
    """However alike they look."""
    assert not same_value(form, source, copy)


@pytest.mark.parametrize(
    ("kind", "family", "scale"),
    [
        ("NUMBER(38,0)", "integer", 0),
        ("NUMBER(12,2)", "numeric", 2),
        ("numeric", "numeric", None),
        ("DECIMAL(38, 9)", "numeric", 9),
        ("HUGEINT", "integer", None),
        ("timestamp(3) with time zone", "timestamptz", None),
        ("TIMESTAMP WITH TIME ZONE", "timestamptz", None),
        ("TIMESTAMP_LTZ", "timestamptz", None),
        ("TIMESTAMP_NS", "timestamp", None),
        ("timestamp without time zone", "timestamp", None),
        ("character varying(20)", "text", None),
        ("TEXT", "text", None),
        ("jsonb", "json", None),
        ("VARIANT", "json", None),
        ("bytea", "binary", None),
        ("inet", "inet", None),
        ("bigint[]", "array", None),
        ("ENUM('a', 'b')", "enum", None),
        ("time with time zone", "printed", None),
        ("TIME", "time", None),
        ("geometry", "other", None),
        ("STRUCT(a INTEGER)", "other", None),
    ],
)
def test_types_fall_into_families(kind: str, family: str, scale: int | None) -> None:
    """By the names that the three catalogues use."""
    column = CatalogColumn("c", kind)
    assert (column.family, column.scale) == (family, scale)


def test_a_decimal_of_one_scale_needs_no_trimming() -> None:
    """That of two scales does, and so does a float's."""
    source = CatalogColumn("c", "numeric(12,2)")
    pairs = {
        copy: column_pair(source, CatalogColumn("c", copy), "duckdb")
        for copy in ("DECIMAL(12,2)", "DECIMAL(38,9)", "DOUBLE")
    }
    assert {copy: pair and pair.form for copy, pair in pairs.items()} == {
        "DECIMAL(12,2)": "plain",
        "DECIMAL(38,9)": "number",
        "DOUBLE": "number",
    }


def test_columns_are_paired_by_name_with_the_key_first() -> None:
    """The tool's own are left out."""
    assert [both.source.name for both in table().columns] == [
        "id", "word", "amount", "updated_at", "version",
    ]  # fmt: skip


def test_what_a_copy_lacks_is_said() -> None:
    """A table, a column, the key."""
    found = map_tables(
        tool(),
        published(rows=SOURCE, gone=SOURCE, keyless=SOURCE),
        {"rows": COPY[:2], "keyless": COPY[1:]},
    )
    assert [one.table for one in found.pairs] == ["rows"]
    said = "\n".join(found.problems)
    assert "rows: the copy has no columns amount, updated_at, version" in said
    assert "gone: no table gone in s; there are rows, keyless: let the tool sync it" in said
    assert "keyless: the copy has no column id" in said


@pytest.mark.parametrize(
    ("destination", "kind", "names", "found"),
    [
        # By the tool's own case, else as the engine folds it; DuckDB does not tell cases apart.
        ("snowflake", "generic", ["users", "USERS"], "USERS"),
        ("snowflake", "generic", ["users"], None),
        ("snowflake", "airbyte", ["USERS"], "USERS"),
        ("postgres", "generic", ["users"], "users"),
        ("postgres", "generic", ["USERS"], None),
        ("postgres", "airbyte", ["users"], "users"),
        ("postgres", "airbyte", ["users", "USERS"], "USERS"),
        ("duckdb", "airbyte", ["users"], "users"),
        ("duckdb", "dlt", ["Users"], "Users"),
    ],
)
def test_one_rule_of_case_per_engine(
    destination: str, kind: str, names: list[str], found: str | None
) -> None:
    """Tables and columns follow the same rule; a name in another case is shown."""
    place = {"snowflake": "", "postgres": 'url = "postgresql://h"', "duckdb": 'file = "c"'}
    text = f'kind = "{kind}"\ndestination = "{destination}"\nschema = "s"\n{place[destination]}'
    copy_of = only(text)
    assert copy_of.find_table("users", names) == found
    assert copy_of.find_column("users", names) == found
    there = {name: (CatalogColumn("id", "bigint"), CatalogColumn("ID", "bigint")) for name in names}
    outcome = map_tables(copy_of, published(users=(CatalogColumn("id", "bigint"),)), there)
    if found is None:
        (problem,) = outcome.problems
        assert f"no table {names[0].swapcase()} in s; there is {names[0]}: set conven" in problem
    else:
        assert [one.copy_name for one in outcome.pairs] == [quoted("s", found)]


def test_a_column_in_another_case_is_shown() -> None:
    """It is not the tool that left it out."""
    copy_of = only('kind = "generic"\ndestination = "postgres"\nurl = "postgresql://h"')
    source = (CatalogColumn("id", "bigint"), CatalogColumn("word", "text"))
    found = map_tables(
        copy_of,
        published(rows=source),
        {"rows": (CatalogColumn("id", "bigint"), CatalogColumn("WORD", "text"))},
    )
    assert found.problems == (
        "rows: the copy has no column word; there is WORD: set convention.case in [tools.t]",
    )


def test_rows_that_the_convention_marks_do_not_count() -> None:
    """These are soft deletes and, in history mode, old versions; without such columns all count."""
    columns = (
        *COPY,
        CatalogColumn("_fivetran_deleted", "BOOLEAN"),
        CatalogColumn("_fivetran_active", "BOOLEAN"),
    )
    (marked,) = map_tables(tool(kind="fivetran"), published(rows=SOURCE), {"rows": columns}).pairs
    assert marked.live == (
        'coalesce("_fivetran_active", FALSE) AND NOT coalesce("_fivetran_deleted", FALSE)'
    )
    (plain,) = map_tables(tool(kind="fivetran"), published(rows=SOURCE), {"rows": COPY}).pairs
    assert plain.live == "TRUE"
    airbyte = (*COPY, CatalogColumn("_AB_CDC_DELETED_AT", "TEXT"))
    upper = tuple(CatalogColumn(one.name.upper(), one.type) for one in airbyte)
    (soft,) = map_tables(tool(kind="airbyte"), published(rows=SOURCE), {"ROWS": upper}).pairs
    assert soft.live == 'NOT ("_AB_CDC_DELETED_AT" IS NOT NULL)'


@pytest.mark.parametrize(
    ("column", "kind", "equals", "live"),
    [
        ("_meta/op", "VARCHAR", '"d"', """CAST("_meta/op" AS VARCHAR) = 'd'"""),
        ("Op", "VARCHAR", '"D"', """CAST("Op" AS VARCHAR) = 'D'"""),
        ("gone", "INTEGER", "1", '"gone" = 1'),
        ("it's", "VARCHAR", '"d\'d"', """CAST("it's" AS VARCHAR) = 'd''d'"""),
    ],
)
def test_a_mark_may_be_a_value(column: str, kind: str, equals: str, live: str) -> None:
    """It makes deletes soft, and is found whatever the case of its column."""
    mark = f'convention.delete_marker = {{ column = "{column.lower()}", equals = {equals} }}'
    columns = (*COPY, CatalogColumn(column, kind))
    (found,) = map_tables(tool(mark, "generic"), published(rows=SOURCE), {"rows": columns}).pairs
    assert found.live == f"NOT coalesce({live}, FALSE)"


def test_findings_come_in_their_order() -> None:
    """One kind for a row; for a row that is there, one for each column."""
    assert kinds(row(), row()) == []
    assert kinds(row(), row(), row(word="b")) == [("duplicate", None)]
    assert kinds(None, row(), row()) == [("duplicate", None)]
    assert kinds(row()) == [("missing", None)]
    assert kinds(None, row(101)) == [("extra", None)]
    assert kinds(None, row(-1)) == [("extra", None)]
    assert kinds(None, row(100)) == [("not_deleted", None)]
    assert kinds(row(at=TIMES[1]), row(word="b", version=2)) == [("stale", "version")]
    assert kinds(row(word="b"), row(word="c", version=2)) == [
        ("differs", "word"), ("differs", "version"),
    ]  # fmt: skip
    assert kinds(row(at=TIMES[1], version=2), row()) == [
        ("differs", "updated_at"), ("differs", "version"),
    ]  # fmt: skip


def test_what_was_declared_lossy_is_called_so_and_no_more() -> None:
    """A difference that the declared loss does not explain is still reported."""
    long = "0.12345678901234567890"
    short = repr(float(long))
    assert kinds(row(amount=long), row(amount=short)) == [("lossy", "amount")]
    assert kinds(row(amount=long), row(amount="0.1234")) == [("differs", "amount")]
    assert kinds(row(amount=long), row(amount=short, word="b")) == [
        ("differs", "word"), ("lossy", "amount"),
    ]  # fmt: skip
    cut = "2026-01-01 00:00:00.123+00"
    assert kinds(row(), row(at=cut)) == [("lossy", "updated_at")]
    assert kinds(row(), row(at="2026-01-01 00:00:00.1+00")) == [("differs", "updated_at")]
    assert kinds(row(amount=long), row(amount=short), known=TableContext()) == [
        ("differs", "amount")
    ]


def test_a_deleted_row_that_was_gone_and_is_there_again_is_resurrected() -> None:
    """One that no verification has seen gone was only never deleted."""
    deleted = tuple(
        DeletedRow(datetime(2026, 1, 1, 12, tzinfo=UTC), "hard_deletes", key) for key in (5, 6, 7)
    )
    known = deletes_of(deleted[:2], None)
    assert not known.gone
    assert kinds(None, row(5), known=TableContext(last_key=100, gone=known.gone)) == [
        ("not_deleted", None)
    ]
    first = known.after({5})  # 6 is gone
    second = deletes_of(deleted, first.recorded())
    assert second.gone == {6}
    gone = TableContext(last_key=100, gone=second.gone)
    found = [kinds(None, row(key), known=gone)[0][0] for key in (5, 6, 7)]
    assert found == ["not_deleted", "resurrected", "not_deleted"]
    third = deletes_of(deleted, second.after({5, 6}).recorded())
    assert third.gone == {6, 7}  # a row that was gone once stays so


def test_values_are_shortened_and_hidden() -> None:
    """Long ones always; texts and JSON on request, numbers never."""
    assert shortened("a" * 61) == "a" * 60 + "… (61 characters)"
    assert shortened(None) is masked(None) is None
    (found,) = row_findings(table(), 1, (row(),), (row(word="secret"),), TableContext(masked=True))
    assert (found.source, found.destination) == ("*** (1 characters)", "*** (6 characters)")
    (found,) = row_findings(table(), 1, (row(),), (row(amount="2"),), TableContext(masked=True))
    assert (found.source, found.destination) == ("1.5", "2")


@pytest.mark.parametrize(
    ("form", "source", "copy", "shown"),
    [
        ("text", "a", "b", ("a", "b")),
        ("text", "a" * 300, None, ("a" * 60 + "… (300 characters)", None)),
        # The first difference, with the text before it, and its place.
        (
            "text",
            "a" * 100 + "X" + "b" * 199,
            "a" * 100 + "Y" + "b" * 199,
            tuple(f"…{'a' * 16}{letter}{'b' * 43}… (from character 101 of 300)" for letter in "XY"),
        ),
        (
            "text",
            "a" * 80 + "X",
            "a" * 80,
            (
                f"…{'a' * 16}X (from character 81 of 81)",
                f"…{'a' * 16} (ends after character 80)",
            ),
        ),
        (
            "hex",
            "00" * 40 + "0f" + "00" * 40,
            "00" * 40 + "0e" + "00" * 40,
            tuple(f"…{'0' * 16}{byte}{'0' * 42}… (from byte 41 of 81)" for byte in ("0f", "0e")),
        ),
        (
            "text",
            "{" + "1," * 50 + "1}",
            "{" + "1," * 50 + "2}",
            tuple(f"…{'1,' * 8}{last}}} (from character 102 of 103)" for last in "12"),
        ),
        # Of JSON the path, whatever the order of keys; numbers as they were written.
        (
            "json",
            json.dumps({"z": "z" * 80, "list": [1, {"näme": 1.50}]}),
            json.dumps({"list": [1, {"näme": "1.5"}], "z": "z" * 80}),
            ("$.list[1].näme: 1.5", '$.list[1].näme: "1.5"'),
        ),
        (
            "json_sorted",
            json.dumps({"z": "z" * 80, "a b": {"c": [True]}}),
            json.dumps({"z": "z" * 80, "a b": {}}),
            ('$["a b"].c: [true]', '$["a b"].c: absent'),
        ),
        (
            "json",
            json.dumps(["a" * 100 + "X"]),
            json.dumps(["a" * 100 + "Y"]),
            tuple(f'$[0]: …{"a" * 16}{letter}" (from character 102 of 103)' for letter in "XY"),
        ),
        ("json", "[" + "1" * 80, "[" + "1" * 80 + "]", None),
        # Invisible characters are escaped.
        ("text", "a ", "a", ("'a '", "'a'")),
        ("text", "a\x01", "a\x02", ("'a\\x01'", "'a\\x02'")),
        ("text", "\u00e4", "a\u0308", ("'\\xe4'", "'a\\u0308'")),
        ("text", "", " ", ("''", "' '")),
    ],
)
def test_values_that_differ_are_shown_where_they_differ(
    form: Form, source: str, copy: str | None, shown: tuple[str, str] | None
) -> None:
    """Never alike on both sides, and short."""
    found = contrast(form, source, copy)
    assert found[0] != found[1]
    assert all(part is None or len(part) < 120 for part in found)
    assert shown is None or found == shown


@given(st.integers(0, 200), st.text(max_size=3), st.text(max_size=3), st.integers(0, 200))
def test_no_two_values_are_shown_alike(before: int, ours: str, theirs: str, after: int) -> None:
    """Common parts may have any length."""
    source, copy = (f"{'a' * before}{one}{'b' * after}" for one in (ours, theirs))
    if source != copy:
        assert len(set(contrast("text", source, copy))) == 2


def test_the_terminal_shows_where_values_differ(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the place, and no character that moves the cursor."""
    monkeypatch.setenv("COLUMNS", "300")
    long = "a" * 100
    found = row_findings(
        table(), 1, (row(word=f"{long}X\x1b"),), (row(word=f"{long}Y\x1b"),), TableContext()
    )
    print_outcomes({"t": ToolOutcome(totals={"differs": 1}, findings=list(found))})
    said = capsys.readouterr().out
    assert "aX\\u001b (from character 101 of 102)" in said
    assert "aY\\u001b (from character 101 of 102)" in said
    assert "\x1b" not in said


def test_all_findings_are_counted_and_some_kept() -> None:
    """Memory is bounded however much is wrong, and no column's faults hide those of another."""
    tally = FindingTally()
    for key in range(STORED_FINDINGS + 5):
        tally.add(Finding("rows", str(key), None, "missing", "there", None))
        tally.add(Finding("rows", str(key), "amount", "differs", "1", "2"))
    tally.add(Finding("rows", "7", "note", "differs", "a", "b"))
    assert tally.totals == {"missing": STORED_FINDINGS + 5, "differs": STORED_FINDINGS + 6}
    columns = Counter(finding.column for finding in tally.findings)
    assert columns == {None: STORED_FINDINGS, "amount": STORED_FINDINGS, "note": 1}


def test_verdicts_and_exit_codes() -> None:
    """Wrong gives 1, not checked 2; other tools' earlier results stay."""
    finding = Finding("rows", "1", None, "missing", "there", None)
    wrong = ToolOutcome(totals={"missing": 1}, findings=[finding])
    lossy = ToolOutcome(totals={"lossy": 2})
    away = ToolOutcome(problems=["unreachable"])
    unconverged = ToolOutcome(unconverged_seconds=3)
    right = ToolOutcome(tables={"orders": TableOutcome(3, 3)})
    nothing = ToolOutcome(tables={"orders": TableOutcome(0, 0)})
    assert nothing.verdict == "not checked"  # 0 = 0 is not agreement
    verdicts = [one.verdict for one in (wrong, lossy, away, unconverged, right)]
    assert verdicts == ["wrong", "lossy", "not checked", "did not converge", "right"]
    codes = [exit_code({"t": one}) for one in (wrong, lossy, away, unconverged, right)]
    assert codes == [1, 1, 2, 1, 0]
    assert exit_code({"a": away, "w": wrong}) == 1
    before = verification({"t": right, "u": right})
    tools = verification({"t": wrong}, before).tools
    assert tools["u"] is before.tools["u"]
    assert tools["t"].findings == (finding,)
    columns = ["table", "key", "column", "kind", "source", "destination"]
    assert list(tools["t"].plain()["findings"][0]) == columns


def test_what_is_late_is_no_failure_until_it_is_overdue() -> None:
    """Overdue rows count as missing from the copy; any other verdict comes before "late"."""
    not_due = FindingTally()
    not_due.add(Finding("rows", "1", None, "missing", "there", None, late=True))
    late = ToolOutcome(tables={"rows": TableOutcome(3, 2)}, late=not_due)
    assert (late.verdict, exit_code({"t": late})) == ("late", 0)
    assert late.recorded("").late == {"missing": 1}
    assert late.recorded("").totals == {}
    overdue = late.overdue(1_400)
    assert (overdue.verdict, exit_code({"t": overdue})) == ("did not converge", 1)
    assert overdue.recorded("").totals == {"missing": 1}
    assert [one.key for one in overdue.findings] == ["1"]
    verdicts = {
        "wrong": ToolOutcome(totals={"differs": 1}, late=not_due),
        "lossy": ToolOutcome(totals={"lossy": 1}, late=not_due),
        "not checked": ToolOutcome(problems=["a table is not there"], late=not_due),
    }
    assert [one.verdict for one in verdicts.values()] == list(verdicts)


def test_many_findings_of_one_sort_hide_no_other() -> None:
    """A few of each table, kind and column are shown."""
    findings = [
        Finding(table_name, str(key), column, "differs", "a", "b")
        for table_name, column in (("a", "x"), ("a", "y"), ("b", "x"))
        for key in range(50)
    ]
    shown = [(one.table, one.column, one.key) for one in few_of_each_sort(findings, 3)]
    assert shown == [
        (table_name, column, str(key))
        for table_name, column in (("a", "x"), ("a", "y"), ("b", "x"))
        for key in range(3)
    ]


class Rows:
    """A side of a table in memory; it counts the rows that are fetched and digested."""

    def __init__(self, rows: Mapping[int, Sequence[str]]) -> None:
        self.held = rows
        self.fetched = 0
        self.digested = 0

    def bounds(self) -> Bounds:
        """Return lowest and highest key."""
        return Bounds(
            min(self.held, default=None), max(self.held, default=None), len(list(self._all()))
        )

    def checksums(self, segment: Range, width: int) -> dict[int, Checksum]:
        """Return checksums by part."""
        parts: dict[int, list[str]] = {}
        for key, text in self._all():
            if segment.low <= key <= segment.high:
                parts.setdefault((key - segment.low) // width, []).append(f"{key},{text};")
        return {
            number: Checksum(len(texts), md5("".join(texts).encode()).hexdigest())  # noqa: S324
            for number, texts in parts.items()
        }

    def counts(self, part: Range, width: int) -> dict[int, int]:
        """Return how many rows each piece has."""
        keys = (key for key, _ in self._all() if part.low <= key <= part.high)
        return dict(Counter((key - part.low) // width for key in keys))

    def digests(self, part: Range) -> dict[int, list[str]]:
        """Return the texts themselves."""
        found: dict[int, list[str]] = {}
        for key, text in self._all():
            if part.low <= key <= part.high:
                found.setdefault(key, []).append(text)
        self.digested = max(self.digested, sum(map(len, found.values())))
        return found

    def rows(self, keys: Sequence[int]) -> dict[int, list[Row]]:
        """Return rows."""
        self.fetched += len(keys)
        return {
            key: [row(key, word=text) for text in self.held[key]]
            for key in keys
            if key in self.held
        }

    def rows_without_key(self) -> list[Row]:
        """Return none."""
        return []

    def _all(self) -> list[tuple[int, str]]:
        return [(key, text) for key in sorted(self.held) for text in self.held[key]]


def compared(source: Rows, copy: Rows, lag: float = 0.0) -> Comparison:
    """Return the comparison of two sides that are in memory."""
    return Comparison(table(), (source, copy), TableContext(), POOL, lag)


def looked_at(comparison: Comparison) -> Iterator[Finding]:
    """Yield the findings of both looks."""
    yield from comparison.begin()
    for part in prefetched(comparison.segments()):
        yield from comparison.first_look(part)
    yield from comparison.second_look()


_SIDE = st.dictionaries(
    st.integers(-5, 60) | st.integers(-(2**62), 2**62), st.just(["a"]) | st.just(["b"]), max_size=40
)


@given(source=_SIDE, copy=_SIDE)
@settings(max_examples=60)
def test_each_key_that_differs_is_found_wherever_keys_lie(
    source: dict[int, list[str]], copy: dict[int, list[str]]
) -> None:
    """Dense or far apart; and no row is fetched that is the same on both sides."""
    ours, theirs = Rows(source), Rows(copy)
    found = list(looked_at(compared(ours, theirs)))
    wrong = {key for key in source.keys() | copy.keys() if source.get(key) != copy.get(key)}
    assert {int(one.key) for one in found} == wrong
    assert len(found) == len(wrong)
    assert ours.fetched == theirs.fetched == len(wrong)


def test_a_range_with_too_many_rows_is_cut_again() -> None:
    """Keys in one corner of a wide range: the differences there are found in pieces."""
    source = {**{key: ["a"] for key in range(50_000)}, 2**50: ["a"]}
    copy = {**source, 777: ["b"], 2**50: ["b"]}
    ours, theirs = Rows(source), Rows(copy)
    found = [one.key for one in looked_at(compared(ours, theirs))]
    assert found == ["777", str(2**50)]
    assert ours.digested < 5000


@pytest.mark.parametrize("far", [(), (2**50,), (-(2**61), 2**40, 2**61)])
def test_a_key_far_off_leaves_ranges_small(far: tuple[int, ...]) -> None:
    """However far the key is, no checksum of a side covers most of its rows in one range."""
    source = {key: ["a"] for key in (*range(300_000), *far)}
    copy = {**source, 299_999: ["b"]} | {key: ["b"] for key in far[:1]}
    ours = Rows(source)
    comparison = compared(ours, Rows(copy))
    list(comparison.begin())
    parts = list(comparison.segments())
    answers = [one for part in parts for one in part.source.result().values()]
    assert max(one.rows for one in answers) <= 10_000
    assert sum(one.rows for one in answers) == len(source)
    found = {int(one.key) for part in parts for one in comparison.first_look(part)}
    assert found == {299_999, *far[:1]}


def test_a_large_table_is_cut_by_counts_only_where_it_must_be() -> None:
    """Keys that are dense, or lie evenly far apart, are cut by width alone."""
    assert not may_be_uneven(Range(1, 5_000_000, 1_000_000))
    assert not may_be_uneven(Range(1, 2**60, 1000))
    sparse = Range(1, 2**60, 1_000_000)
    assert may_be_uneven(sparse)
    assert pieces(sparse, dict.fromkeys(range(1000), 1000)) == [sparse]
    width = piece_width(sparse)
    cut = pieces(sparse, {0: 900_000, 1: 10, 5: 100_000, 999: 1})
    assert [one.rows for one in cut] == [900_000, 100_011]
    assert cut[0] == Range(1, width, 900_000)
    assert (cut[1].low, cut[1].high) == (width + 1, 2**60)


def test_a_row_that_comes_later_is_in_flight() -> None:
    """A row that the source changes, or the copy receives, before the second look is not wrong."""
    source = {1: ["a"], 2: ["a"], 3: ["a"], 4: ["a"]}
    copy = {1: ["a"], 3: ["b"]}

    class Arriving(Rows):
        def rows(self, keys: Sequence[int]) -> dict[int, list[Row]]:
            found = super().rows(keys)
            self.held = {**self.held, 2: ["a"]}  # after the first look
            return found

    comparison = compared(Rows(source), Arriving(copy), lag=0.05)
    found = [(one.key, one.kind) for one in looked_at(comparison)]
    assert found == [("3", "differs"), ("4", "missing")]
    assert comparison.progress.in_flight == 1


def test_a_row_that_the_source_touches_between_the_looks_is_in_flight() -> None:
    """Whatever the copy has: its time has not come."""

    class Moving(Rows):
        def rows(self, keys: Sequence[int]) -> dict[int, list[Row]]:
            found = super().rows(keys)
            self.held = {1: ["b"], 2: ["a"]}
            return {
                key: [Row(key, str(self.fetched) if key == 1 else "7", one.texts) for one in rows]
                for key, rows in found.items()
            }

    comparison = compared(Moving({1: ["a"], 2: ["a"]}), Rows({1: ["c"], 2: ["c"]}), lag=0.05)
    found = [(one.key, one.kind) for one in looked_at(comparison)]
    assert found == [("2", "differs")]
    assert comparison.progress.in_flight == 1


def test_ranges_are_whole_and_bounded() -> None:
    """Cut and joined again, no key is lost."""
    assert whole(Bounds(None, None, 0), Bounds(None, None, 0)) is None
    everything = whole(Bounds(5, 90, 80), Bounds(None, None, 0))
    assert everything == Range(5, 90, 80)
    wide = Range(1, 10_000_000, 10_000_000)
    assert width_for(wide) == 1000
    cut = list(segments(wide, 1000))
    assert cut[0].low == 1
    assert cut[-1].high == 10_000_000
    assert sum(part.keys for part in cut) == wide.keys
    parts = [Range(low, low + 9, 8000) for low in (0, 10, 20, 40)]
    assert [(one.low, one.high) for one in join_neighbours(parts)] == [(0, 19), (20, 29), (40, 49)]
