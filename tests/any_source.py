"""A source in two schemas with every kind of table that local tools have to copy."""

from loadgen.source.postgres import connect

TABLES = frozenset(
    ("accounts", "sales.order", "sales.Readings", "sales.orderItems", "log", "notes")
) | {"loadgen_markers"}
_DDL = """
CREATE SCHEMA sales;
CREATE TYPE sales.mood AS ENUM ('sad', 'it''s "ok"');
CREATE DOMAIN email AS text CHECK (value ~ '@');
CREATE TYPE sales."Size" AS (width text, unit email);
-- A uuid as key, a cursor, and types of the source's own.
CREATE TABLE accounts (
    account_no uuid PRIMARY KEY, owner email NOT NULL, feeling sales.mood, feelings sales.mood[],
    size sales."Size", span int4range, took interval,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
-- Reserved names, a key of two columns in another order, no cursor, a generated column.
CREATE TABLE sales."order" (
    "Line No" integer, placed date, "select" text, n integer,
    doubled integer GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (placed, "Line No"));
-- Partitions, and a cursor.
CREATE TABLE sales."Readings" (
    id bigint, day date, n integer, "updatedAt" timestamptz DEFAULT clock_timestamp(),
    PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE sales.readings_a PARTITION OF sales."Readings"
    FOR VALUES FROM ('2026-01-01') TO ('2026-01-20');
CREATE TABLE sales.readings_b PARTITION OF sales."Readings"
    FOR VALUES FROM ('2026-01-20') TO ('2027-01-01');
CREATE TABLE sales."orderItems" (
    "itemId" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "unitPrice" numeric(12,2),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
-- No key: all of a row identifies it, or nothing does.
CREATE TABLE log (level text, size integer);
ALTER TABLE log REPLICA IDENTITY FULL;
CREATE TABLE notes (word text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());

INSERT INTO accounts
    SELECT md5(k::text)::uuid, 'a@' || k, 'sad', '{sad,NULL}', ROW(k, 'u@m')::sales."Size",
           int4range(k, k + 5), k * interval '1 month 1 s' FROM generate_series(1, 20) k;
INSERT INTO sales."order"
    SELECT k % 4, date '2026-01-01' + k, 'o' || k, k FROM generate_series(1, 20) k;
INSERT INTO sales."Readings" SELECT k, date '2026-01-01' + k * 2, k FROM generate_series(1, 20) k;
INSERT INTO sales."orderItems" ("unitPrice") SELECT k * 1.25 FROM generate_series(1, 20) k;
INSERT INTO log SELECT 'l' || k % 3, k % 5 FROM generate_series(1, 20) k;
INSERT INTO notes SELECT 'n' || k FROM generate_series(1, 20) k;
INSERT INTO loadgen_markers (run_id, sequence, sent_at, horizon) VALUES ('r', 1, now(), 1);

ALTER PUBLICATION loadgen SET (publish_via_partition_root = true);
ALTER PUBLICATION loadgen SET TABLE
    accounts, sales."order", sales."Readings", sales."orderItems", log, notes, loadgen_markers;
"""
# Deletes, updates and inserts, through keys of each kind and without one.
CHANGES = """
DELETE FROM accounts WHERE account_no = md5('1')::uuid;
UPDATE accounts SET feeling = 'it''s "ok"', updated_at = clock_timestamp()
    WHERE account_no = md5('2')::uuid;
DELETE FROM sales."order" WHERE "Line No" = 1;
UPDATE sales."order" SET n = -1 WHERE "Line No" = 2;
DELETE FROM sales."Readings" WHERE id = 20;
UPDATE sales."Readings" SET n = -1, "updatedAt" = clock_timestamp() WHERE id = 1;
DELETE FROM sales."orderItems" WHERE "itemId" = 3;
UPDATE sales."orderItems" SET "unitPrice" = 0, updated_at = clock_timestamp() WHERE "itemId" = 4;
DELETE FROM log WHERE level = 'l1';
UPDATE log SET size = -1 WHERE level = 'l2' AND size = 2;
INSERT INTO notes VALUES ('new');
"""


def make_source(dsn: str) -> None:
    """Make the tables in a migrated database, and publish them and the markers alone."""
    run_sql(dsn, _DDL)


def run_sql(dsn: str, *texts: str) -> None:
    """Commit one text of statements after the other."""
    with connect(dsn) as conn:
        for text in texts:
            conn.execute(text.encode())
