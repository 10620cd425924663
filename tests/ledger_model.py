"""A workload by hand, for tests of the load: keys of all kinds, targets of all kinds, NULLs."""

from loadgen.workload.model import (
    Choice,
    Constant,
    InsertedParameter,
    KeyParameter,
    NextState,
    Number,
    OnceParameter,
    Operation,
    Parameter,
    Proof,
    Sequence,
    Statement,
    StateParameter,
    States,
    Table,
    Text,
    Value,
    WorkloadModel,
)

SCHEMA = """
CREATE SCHEMA "Bank";
CREATE TABLE "Bank"."Accounts" (
    "No" text PRIMARY KEY, owner text, balance bigint NOT NULL DEFAULT 0, closed boolean
);
CREATE DOMAIN entry_number AS bigint;
CREATE TABLE entries (
    entry_id entry_number PRIMARY KEY, account text NOT NULL, note text, amount integer NOT NULL,
    checked boolean NOT NULL DEFAULT false
);
CREATE TABLE receipts (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_id bigint NOT NULL
);
CREATE TABLE tickets (
    code text PRIMARY KEY, state text NOT NULL DEFAULT 'new', moves integer NOT NULL DEFAULT 0,
    agent text
);
"""


def operation(
    name: str,
    statements: tuple[Statement, ...],
    parameters: dict[str, Parameter],
    proof: Proof | None = None,
) -> Operation:
    """Return an operation of 3600 an hour."""
    return Operation(
        name=name,
        label=name,
        option=f"{name}_per_hour",
        per_hour=3600.0,
        statements=statements,
        parameters=parameters,
        proof=proof or Proof("unproved"),
    )


BANK = WorkloadModel(
    name="bank",
    title="accounts and their entries",
    tables={
        "Bank.Accounts": Table(
            "Bank.Accounts",
            rows=100,
            key=("No",),
            columns={
                "No": Value(Sequence(1, "ACC-{:06}")),
                "owner": Value(Text(3, 20), null_share=0.3),
            },
        ),
        "entries": Table("entries", key=("entry_id",)),
        "receipts": Table("receipts", key=("id",)),
        "tickets": Table(
            "tickets",
            key=("code",),
            states=States(
                column="state",
                version="moves",
                key="code",
                first="new",
                next_states={
                    "new": (NextState("open", 1),),
                    "open": (NextState("done", 3), NextState("waiting", 1)),
                    "waiting": (NextState("open", 1),),
                    "done": (),
                },
            ),
        ),
    },
    operations={
        made.name: made
        for made in (
            operation(
                "book",
                (
                    Statement(
                        'UPDATE "Bank"."Accounts" SET balance = balance + $1 WHERE "No" = $2',
                        ("amount", "account"),
                        "update",
                        "Bank.Accounts",
                    ),
                    Statement(
                        "INSERT INTO entries (entry_id, account, note, amount) "
                        "VALUES ($1, $2, $3, $4)",
                        ("entry_id", "account", "note", "amount"),
                        "insert",
                        "entries",
                    ),
                    Statement(
                        "INSERT INTO receipts (id, entry_id) OVERRIDING SYSTEM VALUE "
                        "VALUES ($1, $2)",
                        ("receipt", "entry_id"),
                        "insert",
                        "receipts",
                    ),
                ),
                {
                    "amount": Value(Number(-500, 500)),
                    "account": Value(Choice(("ACC-000001", "ACC-000002"), (1, 1))),
                    "entry_id": KeyParameter("entries", "entry_id"),
                    "receipt": KeyParameter("receipts", "id"),
                    "note": Value(Text(0, 12), null_share=0.4),
                },
                Proof("key", "entry_id", "entries", "entry_id"),
            ),
            operation(
                "correct",
                (
                    Statement(
                        "INSERT INTO entries (entry_id, account, amount) VALUES ($1, 'x', 0)",
                        ("entry_id",),
                        "insert",
                        "entries",
                    ),
                ),
                {"entry_id": KeyParameter("entries", "entry_id")},
                Proof("key", "entry_id", "entries", "entry_id"),
            ),
            operation(
                "erase",
                (
                    Statement(
                        "DELETE FROM entries WHERE entry_id = $1", ("entry",), "delete", "entries"
                    ),
                ),
                {"entry": InsertedParameter("book", "entry_id", "oldest")},
                Proof("once", "entry", "entries", "entry_id"),
            ),
            operation(
                "check",
                (
                    Statement(
                        "UPDATE entries SET checked = true WHERE entry_id = $1 AND NOT checked",
                        ("entry",),
                        "update",
                        "entries",
                    ),
                ),
                {"entry": InsertedParameter("correct", "entry_id", "oldest")},
                Proof("once", "entry", "entries", "entry_id", condition="NOT checked"),
            ),
            operation(
                "annotate",
                (
                    Statement(
                        "UPDATE entries SET note = 'seen' WHERE entry_id = $1",
                        ("entry",),
                        "update",
                        "entries",
                    ),
                ),
                {"entry": InsertedParameter("book", "entry_id", "newest")},
            ),
            operation(
                "close",
                (
                    Statement(
                        'UPDATE "Bank"."Accounts" SET closed = true WHERE "No" = $1 '
                        "AND closed IS NULL",
                        ("account",),
                        "update",
                        "Bank.Accounts",
                    ),
                ),
                {"account": OnceParameter("Bank.Accounts", "No", 0.2, "closed IS NULL")},
                Proof("once", "account", "Bank.Accounts", "No", condition="closed IS NULL"),
            ),
            operation(
                "drop_account",
                (
                    Statement(
                        'DELETE FROM "Bank"."Accounts" WHERE "No" = $1',
                        ("account",),
                        "delete",
                        "Bank.Accounts",
                    ),
                ),
                {"account": OnceParameter("Bank.Accounts", "No", 0.2)},
                Proof("once", "account", "Bank.Accounts", "No"),
            ),
            operation(
                "open_ticket",
                (
                    Statement(
                        "INSERT INTO tickets (agent, code) VALUES ($1, $2)",
                        ("agent", "code"),
                        "insert",
                        "tickets",
                    ),
                ),
                {
                    "agent": Value(Text(1, 9), null_share=0.5),
                    "code": KeyParameter("tickets", "code"),
                },
                Proof("key", "code", "tickets", "code"),
            ),
            operation(
                "move_ticket",
                (
                    Statement(
                        "UPDATE tickets SET state = $1, moves = moves + 1, agent = $4 "
                        "WHERE code = $2 AND moves = $3",
                        ("state", "code", "moves", "agent"),
                        "update",
                        "tickets",
                    ),
                ),
                {
                    "state": StateParameter("tickets", "state"),
                    "code": StateParameter("tickets", "key"),
                    "moves": StateParameter("tickets", "version"),
                    "agent": Value(Constant("Kim"), null_share=0.5),
                },
                Proof("version", "code", "tickets", "code", "moves"),
            ),
        )
    },
    schema_sql=SCHEMA,
    digest="0" * 64,
)
KEY_TYPES = {
    "Bank.Accounts.No": "text",
    "entries.entry_id": "bigint",
    "receipts.id": "integer",
    "tickets.code": "text",
}
