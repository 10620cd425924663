"""Every mistake in a model is one line with file, place and remedy, before anything is created."""

from pathlib import Path

import pytest

from loadgen.errors import error_lines
from loadgen.workload.model import Imported, ImportedTable
from loadgen.workload.read_model import ModelError, read_model

MODEL = """
title = "a bank"

[tables.accounts]
rows = 100
columns.account_no = { generate = "uuid" }
columns.region = { choose = { eu = 60, us = 40 } }
columns.balance = { decimal = [0, 500], scale = 2 }
columns.closed_at = { time = "even", null = 0.9 }

[tables.entries]
columns.entry_id = { generate = "sequence" }
columns.account_no = { row = "accounts", skew = 2 }
columns.amount = { decimal = [1, 500], scale = 2 }
columns.status = { value = "open" }
columns.version = { value = 0 }

[tables.entries.states]
column = "status"
version = "version"
key = "entry_id"
first = "open"
next.open.booked = { weight = 9, minutes = [1, 60] }

[operations.post_entry]
per_hour = 3600
sql = "INSERT INTO entries (entry_id, account_no, amount) VALUES (:entry_id, :payer, :amount)"
params.entry_id = { key = true }
params.payer = { row = "accounts", skew = 2 }
params.amount = { decimal = [1, 500], scale = 2 }

[operations.close_account]
per_hour = 1
update = "accounts"
row = { once = true }
set.closed_at = { sql = "now()" }
where = "closed_at IS NULL"

[checks.solvent]
violations = "SELECT count(*) FROM accounts WHERE balance < 0"
"""
SQL = MODEL[MODEL.index('sql = "INSERT') :].partition("\n")[0]
ROW = "row = { once = true }"
OTHER = "[operations.other]\nper_hour = 1\n"

# The text to replace, its replacement, and the error line after the file's name.
MISTAKES = [
    (
        'columns.account_no = { row = "accounts", skew = 2 }',
        'columns.account_no = { row = "accounts", skew = 2, each = true }',
        "[tables.entries], columns.account_no.each: it takes rows in turn: leave out skew and hot",
    ),
    ("title =", "titel =", "titel: no such key: did you mean title?"),
    *(
        ('title = "a bank"', f"profile = {wrong}", line)
        for wrong, line in (
            ("7", 'profile: it is 7, not a table: { every = "1h", levels = [0.5, 1.5] }'),
            ("{ levels = [1] }", "profile.every: it is missing: give a text"),
            (
                '{ every = "1 hour", levels = [1] }',
                (
                    "profile.every: it is '1 hour', not a time of a second to a year, such as "
                    '"1h", "10m" or "90s"'
                ),
            ),
            (
                '{ every = "0s", levels = [1] }',
                (
                    "profile.every: it is '0s', not a time of a second to a year, such as "
                    '"1h", "10m" or "90s"'
                ),
            ),
            (
                '{ every = "1h", level = [1] }',
                "profile.level: no such key: did you mean levels?",
            ),
            (
                '{ every = "1h" }',
                "profile.levels: it is missing: give a list of numbers, such as [0.5, 1.5]",
            ),
            (
                '{ every = "1h", levels = [] }',
                "profile.levels: it is [], not a list of numbers, such as [0.5, 1.5]",
            ),
            (
                '{ every = "1h", levels = [1, -1] }',
                "profile.levels: -1 is no number from 0 to a million",
            ),
            (
                '{ every = "1h", levels = [1, nan] }',
                "profile.levels: nan is no number from 0 to a million",
            ),
            (
                '{ every = "1h", levels = [0, 0] }',
                "profile.levels: all are 0, so nothing would be written: give one above 0",
            ),
            (
                f'{{ every = "1m", levels = {[1] * 1441} }}',
                "profile.levels: 1,441 are more than 1,440: give a longer `every`",
            ),
        )
    ),
    (
        'title = "a bank"',
        "title = 7",
        "title: it is 7, not a text",
    ),
    (
        "rows = 100",
        "row = 100",
        "[tables.accounts], row: no such key: did you mean rows?",
    ),
    (
        "rows = 100",
        "rows = -1",
        "[tables.accounts], rows: it is -1, not a whole number from 0 to 100,000,000,000",
    ),
    (
        "rows = 100",
        'rows = { setting = "initial_user" }',
        "[tables.accounts], rows.setting: there is no 'initial_user': did you mean initial_users?",
    ),
    (
        "rows = 100",
        "rows = { default = 5 }",
        "[tables.accounts], rows.setting: it is missing: give a text",
    ),
    (
        "rows = 100",
        'rows = 100\nkey = "acount_no"',
        "[tables.accounts], key: there is no column 'acount_no': did you mean account_no?",
    ),
    (
        "rows = 100",
        'rows = 100\nkey = "region"',
        ("[tables.accounts], columns.region: the key (region) may repeat: make one of its columns "
        "by sequence or uuid"),
    ),
    (
        '{ generate = "uuid" }',
        '{ generate = "uuid", null = 0.5 }',
        "[tables.accounts], columns.account_no.null: it is in the key, which is never NULL",
    ),
    (
        '{ generate = "uuid" }',
        '{ generate = "uid" }',
        "[tables.accounts], columns.account_no.generate: there is no 'uid': did you mean uuid?",
    ),
    (
        '{ generate = "uuid" }',
        '{ generat = "uuid" }',
        "[tables.accounts], columns.account_no: it has no generator: did you mean generate?",
    ),
    (
        '{ generate = "uuid" }',
        '"uuid"',
        ("[tables.accounts], columns.account_no: it is 'uuid', not a table, such as { generate = "
        '"uuid" }'),
    ),
    (
        '{ generate = "uuid" }',
        '{ generate = "uuid", text = [1, 2] }',
        "[tables.accounts], columns.account_no: generate and text are two generators: keep one",
    ),
    (
        '{ generate = "uuid" }',
        '{ generate = "uuid", start = 5 }',
        "[tables.accounts], columns.account_no.start: uuid has no such key",
    ),
    (
        '{ generate = "uuid" }',
        '{ generate = "sequence", pattern = "ACC" }',
        ("[tables.accounts], columns.account_no.pattern: it is 'ACC', not a text with one {} for "
        'the number, such as "ACC-{:06}"'),
    ),
    (
        "eu = 60",
        "eu = -60",
        "[tables.accounts], columns.region.choose.eu: it is -60, not a weight: a number above 0",
    ),
    (
        "{ eu = 60, us = 40 }",
        "[]",
        ("[tables.accounts], columns.region.choose: it is [], not a list, or a table of weights "
        "such as { eu = 60, us = 40 }"),
    ),
    (
        "{ eu = 60, us = 40 }",
        '"regions"',
        ("[tables.accounts], columns.region.choose: there is no pool 'regions': give a list, "
        "or add [pools]"),
    ),
    (
        "[0, 500], scale = 2",
        "[500, 0], scale = 2",
        "[tables.accounts], columns.balance.decimal: 500 is more than 0: write [least, most]",
    ),
    (
        "[0, 500], scale = 2",
        "[0, 500], scale = 99",
        "[tables.accounts], columns.balance.scale: it is 99, not a whole number from 0 to 15",
    ),
    (
        "null = 0.9",
        "null = 9",
        ("[tables.accounts], columns.closed_at.null: it is 9, not a share: a number above 0, at "
        "most 1"),
    ),
    (
        'time = "even"',
        'after = "opened_at"',
        ("[tables.accounts], columns.closed_at.after: there is no 'opened_at': did you "
        "mean closed_at?"),
    ),
    (
        'time = "even"',
        'after = "closed_at"',
        ("[tables.accounts], columns.closed_at: a value needs itself: accounts.closed_at → "
        "accounts.closed_at"),
    ),
    (
        '{ row = "accounts", skew = 2 }\ncolumns',
        '{ row = "acounts", skew = 2 }\ncolumns',
        "[tables.entries], columns.account_no.row: there is no 'acounts': did you mean accounts?",
    ),
    (
        '{ row = "accounts", skew = 2 }\ncolumns',
        '{ row = "entries" }\ncolumns',
        "[tables.entries], columns.account_no.row: entries has no baseline rows: give it `rows`",
    ),
    (
        '{ row = "accounts", skew = 2 }\ncolumns',
        '{ row = "accounts", column = "acount" }\ncolumns',
        ("[tables.entries], columns.account_no.column: there is no 'acount': did you mean "
        "account_no?"),
    ),
    (
        'column = "status"',
        'column = "stat"',
        "[tables.entries], states.column: there is no column 'stat': did you mean status?",
    ),
    (
        'first = "open"',
        'first = "opne"',
        "[tables.entries], states.first: there is no 'opne': did you mean open?",
    ),
    (
        "weight = 9,",
        "weight = 0,",
        "[tables.entries], states.next.open.booked.weight: it is 0, not a weight: a number above 0",
    ),
    (
        "[operations.post_entry]",
        "[operations.Post]",
        "[operations.Post]: an operation's name has a-z, 0-9 and _, at most 40, a-z first",
    ),
    (
        "[operations.post_entry]",
        "[operations.hard_deletes]",
        "[operations.hard_deletes]: a hard case has this name: choose another one",
    ),
    (
        "per_hour = 3600",
        "per_hour = -1",
        "[operations.post_entry], per_hour: it is -1, not a number from 0 to 3,600,000,000",
    ),
    (
        "per_hour = 3600",
        'per_hour = 3600\noption = "users"',
        ("[operations.post_entry], option: it is 'users': a-z, 0-9 and -, ending in -per-hour, "
        "such as post-entry-per-hour"),
    ),
    (
        "per_hour = 3600",
        'per_hour = 3600\noption = "max-rate-per-hour"',
        ("[operations.post_entry], option: --max-rate-per-hour is a setting of its own: choose "
        "another one"),
    ),
    (
        "per_hour = 1",
        'per_hour = 1\noption = "post-entry-per-hour"',
        ("[operations.close_account], option: post_entry has --post-entry-per-hour: choose another "
        "one"),
    ),
    (
        SQL,
        'sql = "SELECT :entry_id, :payer, :amount"',
        "[operations.post_entry], sql: SELECT is a read: an operation only writes",
    ),
    (
        SQL,
        "",
        "[operations.post_entry]: it writes nothing: there are sql, insert, update, delete, move",
    ),
    (
        SQL,
        'sql = "-- nothing"',
        "[operations.post_entry], sql: it has no statement",
    ),
    (
        SQL,
        'sql = "BEGIN; DELETE FROM entries"',
        ("[operations.post_entry], sql: BEGIN: leave it out, the statements of an operation "
        "are one transaction"),
    ),
    (
        "columns.closed_at = ",
        'columns.days = { array = { time = "growth" } }\ncolumns.closed_at = ',
        ('[tables.accounts], columns.days.array.time: it is "growth", the order of rows: '
        'write "even"'),
    ),
    (
        SQL,
        'sql = "UPDATE entries SET amount = :amount WHERE account_no = :payer"',
        ("[operations.post_entry], sql: each update of entries has to raise its version: "
        "version = version + 1"),
    ),
    (
        "INSERT INTO entries (",
        "INSRT INTO entries (",
        "[operations.post_entry], sql: it begins with INSRT: did you mean INSERT?",
    ),
    (
        "INSERT INTO entries (",
        "INSERT INTO entires (",
        "[operations.post_entry], sql: the model has no table 'entires': did you mean entries?",
    ),
    (
        "account_no, amount) VALUES",
        "account_no, amuont) VALUES",
        "[operations.post_entry], sql: entries has no column 'amuont': did you mean amount?",
    ),
    (
        ":amount)",
        ":amuont)",
        ("[operations.post_entry], params.amuont: it is missing, and the SQL has :amuont: did you "
        "mean amount?"),
    ),
    (
        ":amount)",
        "5)",
        "[operations.post_entry], params.amount: no statement has :amount: leave it out",
    ),
    (
        ":amount)",
        "$3)",
        "[operations.post_entry], sql: $3: name the parameter, such as :amount",
    ),
    (
        SQL,
        SQL.replace(')"', ') ON CONFLICT DO NOTHING"'),
        "[operations.post_entry], params.entry_id: :entry_id has to be a value of a plain INSERT",
    ),
    (
        "(entry_id, account_no, amount)",
        "(amount, account_no, entry_id)",
        ("[operations.post_entry], params.entry_id: entries.amount is no key: make it by sequence "
        "or uuid"),
    ),
    (
        SQL,
        SQL.replace(":amount", "%s"),
        "[operations.post_entry], sql: %s: name the parameter, as in :amount",
    ),
    (
        SQL,
        SQL.replace(":amount", "'5"),
        "[operations.post_entry], sql: a quote is not closed",
    ),
    (
        '"closed_at IS NULL"',
        '"region = \'eu"',
        "[operations.close_account], where: a quote is not closed",
    ),
    (
        '{ sql = "now()" }',
        '{ sql = "\'now" }',
        "[operations.close_account], set.closed_at.sql: a quote is not closed",
    ),
    (
        '{ sql = "now()" }',
        '{ sql = "now(" }',
        "[operations.close_account], set.closed_at.sql: a parenthesis is not closed",
    ),
    (
        "rows = 100",
        'rows = { setting = "control_port" }',
        ("[tables.accounts], rows.setting: there is no 'control_port': there are initial_users, "
        "initial_orders, initial_events"),
    ),
    (
        '{ value = "open" }',
        "[1, 2]",
        "[tables.entries], columns.status: it is [1, 2], not a table, such as { value = [1, 2] }",
    ),
    (
        'columns.account_no = { generate = "uuid" }',
        "columns.account_no = { text = [5, 9] }",
        ("[tables.entries], columns.account_no.row: accounts has no key: add `key` to its "
        "table, or a uuid or sequence column"),
    ),
    (
        "{ key = true }",
        "{ key = false }",
        "[operations.post_entry], params.entry_id.key: it is False, not true, or left out",
    ),
    (
        "{ key = true }",
        '{ like = "accounts.account" }',
        ("[operations.post_entry], params.entry_id.like: there is no 'accounts.account': did you "
        "mean accounts.account_no?"),
    ),
    (
        ROW,
        'row = { inserted = "post_entri" }',
        ("[operations.close_account], row.inserted: there is no 'post_entri': did you mean "
        "post_entry?"),
    ),
    (
        ROW,
        'row = { inserted = "post_entry" }',
        ("[operations.close_account], row.inserted: post_entry inserts into entries, not into "
        "accounts"),
    ),
    (
        ROW,
        'row = { inserted = "close_account" }',
        ("[operations.close_account]: operations aim at each other's rows in a circle: "
        "close_account → close_account"),
    ),
    (
        ROW,
        'row = { row = "entries" }',
        "[operations.close_account], row: it is 'entries', not the table 'accounts'",
    ),
    (
        'update = "accounts"\nrow = { once = true }',
        'update = "entries"\nrow = { once = true }',
        ("[operations.close_account], set.closed_at: entries has no such column: there are "
        "entry_id, account_no, amount, status, version"),
    ),
    (
        'set.closed_at = { sql = "now()" }\n',
        "",
        "[operations.close_account], set: it is missing: an update sets a column or more",
    ),
    (
        "[checks.solvent]",
        OTHER + 'delete = "accounts"\nrow = { once = true }\n[checks.solvent]',
        "[operations.other]: close_account aims at rows of accounts once already: only one may",
    ),
    (
        "[checks.solvent]",
        OTHER + 'delete = "entries"\nrow = { once = true }\n[checks.solvent]',
        "[operations.other], row: entries has no baseline rows: give it `rows`",
    ),
    (
        "[checks.solvent]",
        OTHER + 'move = "accounts"\n[checks.solvent]',
        "[operations.other], move: accounts has no states: add [tables.accounts.states]",
    ),
    (
        "violations =",
        "violation =",
        "[checks.solvent], violation: no such key: did you mean violations?",
    ),
    (
        'violations = "SELECT count(*) FROM accounts WHERE balance < 0"',
        "",
        "[checks.solvent], violations: it is missing: give a text",
    ),
    (
        "[checks.solvent]",
        '[conserved.money]\nsum = ["accounts.balance"]\n[checks.solvent]',
        "[conserved.money], sum: no such key: did you mean sums?",
    ),
    (
        "[checks.solvent]",
        "[conserved.money]\nsums = []\n[checks.solvent]",
        '[conserved.money], sums: it is [], not columns, each once, such as ["accounts.balance"]',
    ),
    (
        "[checks.solvent]",
        '[conserved.money]\nsums = ["accounts.balance", "entrys.amount"]\n[checks.solvent]',
        "[conserved.money], sums: there is no table 'entrys': did you mean entries?",
    ),
    (
        "[checks.solvent]",
        '[conserved.money]\nsums = ["balance"]\n[checks.solvent]',
        (
            "[conserved.money], sums: 'balance' names no table: there are accounts, entries"
        ),
    ),
    (
        "[checks.solvent]",
        '[conserved.money]\nsums = ["entries.ammount"]\n[checks.solvent]',
        "[conserved.money], sums: entries has no column 'ammount': did you mean amount?",
    ),
]  # fmt: skip


def folder_of(tmp_path: Path, toml: str, schema: str = "") -> Path:
    """Write a model's files."""
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "workload.toml").write_text(toml, encoding="utf-8")
    if schema:
        (tmp_path / "bank" / "schema.sql").write_text(schema, encoding="utf-8")
    return tmp_path / "bank"


def refusal(folder: Path) -> str:
    """Return the one line that a model is refused with, without the folder of the test."""
    with pytest.raises(ModelError) as refused:
        read_model(str(folder))
    lines = error_lines(refused.value)
    assert len(lines) == 1
    return lines[0].replace(f"{folder.parent}/", "")


def test_the_model_is_right_without_a_mistake(tmp_path: Path) -> None:
    """Else each mistake might be another one."""
    model = read_model(str(folder_of(tmp_path, MODEL)))
    assert {name: operation.proof.kind for name, operation in model.operations.items()} == {
        "post_entry": "key",
        "close_account": "once",
    }


@pytest.mark.parametrize(("right", "wrong", "line"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_one_line(tmp_path: Path, right: str, wrong: str, line: str) -> None:
    """With the file, the table or operation, the key, and the nearest right word."""
    assert MODEL.count(right) >= 1
    folder = folder_of(tmp_path, MODEL.replace(right, wrong, 1))
    assert refusal(folder) == f"bank/workload.toml, {line}"


def test_rows_of_an_insert_without_key(tmp_path: Path) -> None:
    """What an insert makes no key for lacks it in its table, not in the insert."""
    made = (
        "[tables.notes]\ncolumns.memo = { text = [1, 9] }\n"
        '[operations.note]\nper_hour = 1\ninsert = "notes"\n'
        '[operations.forget]\nper_hour = 1\ndelete = "notes"\nrow = { inserted = "note" }\n'
    )
    assert refusal(folder_of(tmp_path, MODEL + made)) == (
        "bank/workload.toml, [operations.forget], row.inserted: notes has no key: add `key` to its "
        "table, or a uuid or sequence column"
    )


SCHEMA = """
CREATE TABLE accounts (account_no uuid PRIMARY KEY, region text, balance numeric, closed_at date);
CREATE TABLE entries (entry_id bigint PRIMARY KEY, account_no uuid, amount numeric, status text,
                      version bigint DEFAULT 0);
"""
SCHEMA_MISTAKES = [
    (
        "TABLE entries",
        "TABLE entry",
        "bank/workload.toml, [tables.entries]: schema.sql makes no such table: did you mean entry?",
    ),
    (
        "region text",
        "regions text",
        (
            "bank/workload.toml, [tables.accounts], columns.region: schema.sql has no such "
            "column: did you mean regions?"
        ),
    ),
    (
        "\nCREATE TABLE accounts",
        "\\restrict abc\nCREATE TABLE accounts",
        r"bank/schema.sql: \restrict abc is a command of psql's: remove it",
    ),
    (
        "entry_id bigint",
        "entry_id numeric",
        (
            "bank/workload.toml, [operations.post_entry], params.entry_id: entries.entry_id is "
            "no key: make it by sequence or uuid"
        ),
    ),
]


IMPORTED = f"""
[imported]
read_at = "2026-11-29T13:00:00+00:00"
databases = ["{64 * "a"}", "{64 * "b"}"]
window_seconds = 86400
rate_scale = 0.1

[imported.tables]
accounts = {{ rows = 1200, bytes = 3000, index_bytes = 900, inserts = 3600.0, updates = 12.5 }}
"sales.items" = {{ rows = 5, bytes = 8192 }}
"""
IMPORTED_MISTAKES = [
    ("read_at", "reed_at", "[imported], reed_at: no such key: did you mean read_at?"),
    (
        "-29T13:00:00+00:00",
        "-29T13:00:00",
        (
            "[imported], read_at: it is '2026-11-29T13:00:00', not an instant, such as "
            '"2026-11-29T13:00:00+00:00"'
        ),
    ),
    (
        64 * "b",
        "db.example.com",
        (
            "[imported], databases: it has a digest of 64 hex digits, or several: import the "
            "database again"
        ),
    ),
    (
        f'["{64 * "a"}", "{64 * "b"}"]',
        "[]",
        (
            "[imported], databases: it has a digest of 64 hex digits, or several: import the "
            "database again"
        ),
    ),
    (
        "86400",
        '"a day"',
        "[imported], window_seconds: it is 'a day', not a number from 0 to 1e+15",
    ),
    (
        "rate_scale = 0.1",
        "rate_scale = 0",
        "[imported], rate_scale: it is 0, not a number from 1e-09 to 1,000,000",
    ),
    (
        "rows = 1200,",
        "",
        (
            "[imported], tables.accounts.rows: it is missing: give a whole number from 0 to "
            "1,000,000,000,000,000"
        ),
    ),
    (
        "updates =",
        "update =",
        "[imported], tables.accounts.update: no such key: did you mean updates?",
    ),
    (
        "{ rows = 5, bytes = 8192 }",
        "5",
        '[imported], tables.sales.items: it is 5, not a table, such as { generate = "uuid" }',
    ),
]


@pytest.mark.parametrize(("right", "wrong", "line"), IMPORTED_MISTAKES)
def test_a_mistake_in_what_was_imported_is_one_line(
    tmp_path: Path, right: str, wrong: str, line: str
) -> None:
    """What the import wrote may have been edited."""
    toml = MODEL + IMPORTED.replace(right, wrong, 1)
    assert refusal(folder_of(tmp_path, toml)) == f"bank/workload.toml, {line}"


def test_an_imported_model_keeps_what_was_read(tmp_path: Path) -> None:
    """Omitted keys have their defaults; tables that the model lacks are included."""
    assert read_model("shop").imported is None
    assert read_model(str(folder_of(tmp_path, MODEL + IMPORTED))).imported == Imported(
        read_at="2026-11-29T13:00:00+00:00",
        digests=(64 * "a", 64 * "b"),
        window_seconds=86400.0,
        row_scale=1.0,
        rate_scale=0.1,
        tables={
            "accounts": ImportedTable(1200, 3000, 900, inserts=3600.0, updates=12.5),
            "sales.items": ImportedTable(5, 8192),
        },
    )


@pytest.mark.parametrize(("right", "wrong", "line"), SCHEMA_MISTAKES)
def test_a_mistake_in_the_schema_is_one_line(
    tmp_path: Path, right: str, wrong: str, line: str
) -> None:
    """The tables of schema.sql are those that the model may name."""
    assert refusal(folder_of(tmp_path, MODEL, SCHEMA.replace(right, wrong, 1))) == line


def test_types_are_in_one_place(tmp_path: Path) -> None:
    """A column has its type in schema.sql or in the model."""
    toml = MODEL.replace('generate = "uuid"', 'generate = "uuid", type = "uuid"')
    assert read_model(str(folder_of(tmp_path, toml))).tables["accounts"].types == {
        "account_no": "uuid",
        "region": "text",
        "balance": "numeric",
        "closed_at": "timestamptz",
    }
    (tmp_path / "bank" / "schema.sql").write_text(SCHEMA, encoding="utf-8")
    assert refusal(tmp_path / "bank") == (
        "bank/workload.toml, [tables.accounts], columns.account_no.type: schema.sql has the types: "
        "leave it out"
    )


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    """A folder without the file, one that is not there, and a file that is no TOML."""
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == (
        "empty has no workload.toml: docs/workload.md says what it holds"
    )
    with pytest.raises(ModelError, match=r"no workload 'shp': .* did you mean shop\?"):
        read_model("shp")
    line = refusal(folder_of(tmp_path, "[tables\n"))
    assert line.startswith("bank/workload.toml can't be read as TOML: Expected ']'")
    (tmp_path / "bank" / "workload.toml").write_text(MODEL.replace("rows =", "rows = 5\nrows ="))
    assert "workload.toml can't be read as TOML: rows is given twice (at line 6" in refusal(
        tmp_path / "bank"
    )
    (tmp_path / "bank" / "workload.toml").write_bytes(b"title = '\xff'")
    assert "it has to be a UTF-8 text" in refusal(tmp_path / "bank")
    (tmp_path / "bank" / "workload.toml").write_text("title = 'x'")
    assert refusal(tmp_path / "bank") == (
        "bank/workload.toml, tables: it is missing: a workload has tables, such as [tables.name]"
    )
