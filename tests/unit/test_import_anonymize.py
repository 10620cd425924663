"""Names of a database are replaced alike in its facts and in its SQL."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.workload.importing.anonymize import anonymized
from loadgen.workload.importing.facts import ForeignKeyFacts, StatementFacts
from loadgen.workload.importing.write import WriteOptions, write_model
from tests.import_facts import database, read_back, table

SCHEMA = """
-- secret comment
CREATE SCHEMA hr;
CREATE TYPE hr.mood AS ENUM ('secret-calm', 'people');
CREATE TABLE hr.people (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME hr.people_id_seq),
    date date NOT NULL,
    "type" text DEFAULT 'date'::text,
    mood hr.mood,
    /* of people */boss bigint DEFAULT nextval('hr.people_id_seq'::regclass),
    CONSTRAINT people_check CHECK (((type)::text <> 'mood'::text) AND (date > '2020-01-01'::date))
);
ALTER TABLE ONLY hr.people ADD CONSTRAINT people_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX people_type ON hr.people (lower(type)) WHERE (mood = 'people'::hr.mood);
ALTER TABLE ONLY hr.people ADD CONSTRAINT people_boss FOREIGN KEY (boss) REFERENCES hr.people(id);
CREATE FUNCTION hr.count_people() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM hr.people$$;
"""
ANONYMIZED = """
CREATE SCHEMA schema_1;
CREATE TYPE schema_1.column_4 AS ENUM ('secret-calm', 'people');
CREATE TABLE schema_1.table_1 (
    column_1 bigint NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME schema_1.object_1),
    column_2 date NOT NULL,
    column_3 text DEFAULT 'date'::text,
    column_4 schema_1.column_4,
    column_5 bigint DEFAULT nextval('schema_1.object_1'::regclass),
    CONSTRAINT object_2 CHECK (((column_3)::text <> 'mood'::text) AND (column_2 > '2020-01-01'::date))
);
ALTER TABLE ONLY schema_1.table_1 ADD CONSTRAINT object_3 PRIMARY KEY (column_1);
CREATE UNIQUE INDEX object_4 ON schema_1.table_1 (lower(column_3)) WHERE (column_4 = 'people'::schema_1.column_4);
ALTER TABLE ONLY schema_1.table_1 ADD CONSTRAINT object_5 FOREIGN KEY (column_5) REFERENCES schema_1.table_1(column_1);
CREATE FUNCTION schema_1.object_6() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM schema_1.table_1$$;
"""  # noqa: E501
PEOPLE = table(
    "hr.people",
    "id bigint!, date date+, type text, mood hr.mood, boss bigint",
    90,
    (24, 48, 0),
    (ForeignKeyFacts(("boss",), "hr.people", ("id",)),),
)
PEOPLE = replace(
    PEOPLE,
    columns=tuple(
        replace(column, labels=("secret-calm", "people")) if column.name == "mood" else column
        for column in PEOPLE.columns
    ),
    checks=("CHECK (((type)::text <> 'mood'::text) AND (date > '2020-01-01'::date))",),
)
FACTS = database(
    PEOPLE,
    schema_sql=SCHEMA,
    statements=(
        StatementFacts("UPDATE hr.people SET type = $1, date=$2::date WHERE id = $3", 9, 9),
        StatementFacts('INSERT INTO "hr"."people" (id, "type", date) VALUES ($1,$2,$3)', 9, 9),
    ),
)


def test_ddl_has_no_name_of_the_database() -> None:
    """Types, functions, texts and keywords stay; names in bodies and default values do not."""
    assert anonymized(FACTS).schema_sql == ANONYMIZED


def test_the_model_has_no_name_of_the_database(tmp_path: Path) -> None:
    """And its operations are those that it has with names."""
    named = write_model(FACTS, WriteOptions())
    written = write_model(FACTS, WriteOptions(anonymize=True))
    assert not re.search(r"hr\.|people\b(?!'|\")|\bboss\b|\btype = |mood", written.toml)
    model, other = read_back(written, tmp_path / "a"), read_back(named, tmp_path / "b")
    assert set(model.tables) == {"schema_1.table_1"}
    assert set(model.tables["schema_1.table_1"].columns) == {f"column_{i}" for i in range(1, 6)}
    assert [o.per_hour for o in model.operations.values()] == [
        o.per_hour for o in other.operations.values()
    ]
    assert model.operations["update_table_1"].statements[0].sql == (
        "UPDATE schema_1.table_1 SET column_2 = now(), column_3 = $1 WHERE column_1 = $2"
    )


@pytest.mark.parametrize("name", ["date", "key", "name", "time", "value", "range", "zone"])
def test_columns_with_names_of_keywords(name: str) -> None:
    """Only their place tells them from types and keywords."""
    type_ = "timestamp with time zone"
    ddl = (
        f"CREATE TABLE t ({{0}} {type_} NOT NULL, PRIMARY KEY ({{0}}), CHECK ({{0}} IS NOT NULL "
        "AND {0} > '2020-01-01'::date)) PARTITION BY RANGE ({0});"
    )
    facts = database(table("t", f"{name} {type_}!"), schema_sql=ddl.format(name))
    expected = ddl.format("column_1").replace("TABLE t", "TABLE table_1")
    assert anonymized(facts).schema_sql == expected
