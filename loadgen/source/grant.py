"""What a tool under test gets on the source, and loses again: its user, publication and slot.

The user's comment says for which tool, database, slot and publication it was made: nothing without
that comment is touched. A slot can bear no comment, so the user's is written before the slot is
made, and only where no slot of that name was there.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.source.limits import first_write
from loadgen.source.postgres import is_embedded, plain_errors
from loadgen.source.schema import PUBLICATION, PUBLISHED
from loadgen.sql import statements
from loadgen.untrusted import parse_json

Say = Callable[[str], None]

PLUGIN: Final = "pgoutput"
_MARK: Final = "loadgen db grant: "
_HIDDEN: Final = "'***'"
_LONGEST_NAME: Final = 63  # bytes of an identifier
_SLOT_NAME: Final = re.compile(r"[a-z0-9_]{1,63}")
_SQL: Final = statements("loadgen.source", "grant.sql")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a tool has on the source; `slot` is None for a tool that reads by queries."""

    tool: str
    database: str
    slot: str | None
    publication: str  # the shared one, or the tool's own

    @property
    def user(self) -> str:
        """The tool's login user."""
        return user_of(self.tool)

    @property
    def own_publication(self) -> bool:
        """Whether the publication is this tool's alone."""
        return self.publication != PUBLICATION

    @property
    def comment(self) -> str:
        """What the user's comment says."""
        return _MARK + json.dumps(asdict(self), sort_keys=True)


def user_of(tool: str) -> str:
    """Return the name of a tool's user."""
    return f"loadgen_{tool.lower().replace('-', '_')}"


def grants(conn: psycopg.Connection[Any]) -> tuple[Grant, ...]:
    """Return what tools have on this server, in any of its databases."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SQL["granted"]).fetchall()
    found = (_read(row["comment"]) for row in rows)
    return tuple(grant for grant in found if grant is not None)


def give(
    conn: psycopg.Connection[Any], wanted: Grant, say: Say, password: str | None = None
) -> str | None:
    """Make what is missing of `wanted`, each statement told to `say` without the password.

    Returns the password of a user that was made now; None where the user was there already. The
    server gets it as a SCRAM verifier, so that its log can't hold it. Raises SourceError where
    something of these names is there that was not made here, or Postgres refuses.
    """
    _check_names(wanted)
    doing = f"granting to {wanted.tool}"
    with plain_errors(doing):
        _require_ours(conn, wanted)
        chosen = None
        with first_write(conn, doing), conn.transaction():
            if not _role(conn, wanted.user):
                chosen = password or secrets.token_urlsafe(24)
                _make_user(conn, wanted, chosen, say)
            _give_rights(conn, wanted, say)
            _make_publication(conn, wanted, say)
        try:
            _make_slot(conn, wanted, say)
        except psycopg.Error:
            if chosen is not None:  # a user whose password nobody was told is of no use
                with conn.transaction():
                    _drop(conn, wanted, _teller(conn, say))
            raise
    return chosen


def take(conn: psycopg.Connection[Any], tool: str, say: Say) -> bool:
    """Take away what `give` made for a tool; returns whether there was anything.

    Raises SourceError, with nothing changed, where the user was not made here or its slot is read.
    """
    doing = f"revoking from {tool}"
    with plain_errors(doing):
        role = _role(conn, user_of(tool))
        if role is None:
            return False
        held = _owned(role, tool)
        _require_database(conn, held)
        slot = _slot(conn, held.slot)
        _require_idle(slot, held)
        run = _teller(conn, say)
        # So that nobody comes back while it is taken away.
        with first_write(conn, doing):
            run(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(held.user)))
        conn.execute(_SQL["end_sessions"], {"user": held.user})
        if slot:
            run(sql.SQL("SELECT pg_drop_replication_slot({})").format(sql.Literal(held.slot)))
        with conn.transaction():
            _drop(conn, held, run)
    return True


def _drop(conn: psycopg.Connection[Any], held: Grant, run: Callable[[sql.Composed], None]) -> None:
    user = sql.Identifier(held.user)
    if held.own_publication and _scalar(conn, "publication", publication=held.publication):
        run(sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(held.publication)))
    run(sql.SQL("REVOKE SELECT ON TABLE {} FROM {}").format(_tables(PUBLISHED), user))
    run(sql.SQL("REVOKE USAGE ON SCHEMA public FROM {}").format(user))
    database = sql.Identifier(held.database)
    run(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(database, user))
    run(sql.SQL("DROP ROLE {}").format(user))


def _make_user(conn: psycopg.Connection[Any], wanted: Grant, password: str, say: Say) -> None:
    user, run = sql.Identifier(wanted.user), _teller(conn, say)
    managed = _scalar(conn, "rds")
    replicates = wanted.slot is not None
    right = "REPLICATION" if replicates and not managed else "NOREPLICATION"
    make = sql.SQL(f"CREATE ROLE {{}} LOGIN {right} PASSWORD {{}}")
    verifier = conn.pgconn.encrypt_password(
        password.encode(), wanted.user.encode(), b"scram-sha-256"
    ).decode()
    say(make.format(user, sql.SQL(_HIDDEN)).as_string(conn))
    conn.execute(make.format(user, sql.Literal(verifier)))
    if replicates and managed:
        run(sql.SQL("GRANT rds_replication TO {}").format(user))
    run(sql.SQL("COMMENT ON ROLE {} IS {}").format(user, sql.Literal(wanted.comment)))


def _give_rights(conn: psycopg.Connection[Any], wanted: Grant, say: Say) -> None:
    user, run = sql.Identifier(wanted.user), _teller(conn, say)
    with conn.cursor(row_factory=dict_row) as cursor:
        asked = {"user": wanted.user, "tables": list(PUBLISHED)}
        has = cursor.execute(_SQL["rights"], asked).fetchone() or {}
    if not has["connects"]:
        database = sql.Identifier(wanted.database)
        run(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, user))
    if not has["uses"]:
        run(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(user))
    if has["unread"]:
        run(sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(_tables(has["unread"]), user))


def _make_publication(conn: psycopg.Connection[Any], wanted: Grant, say: Say) -> None:
    if _scalar(conn, "publication", publication=wanted.publication):
        return
    if not wanted.own_publication:
        raise SourceError(
            f"there is no publication {PUBLICATION!r}: make it with `loadgen seed`, then grant"
        )
    make = sql.SQL("CREATE PUBLICATION {} FOR TABLE {}")
    _teller(conn, say)(make.format(sql.Identifier(wanted.publication), _tables(PUBLISHED)))


def _make_slot(conn: psycopg.Connection[Any], wanted: Grant, say: Say) -> None:
    if wanted.slot is None or _slot(conn, wanted.slot):
        return
    make = sql.SQL("SELECT pg_create_logical_replication_slot({}, {})")
    _teller(conn, say)(make.format(sql.Literal(wanted.slot), sql.Literal(PLUGIN)))


def _check_names(wanted: Grant) -> None:
    if wanted.slot is not None and not _SLOT_NAME.fullmatch(wanted.slot):
        raise SourceError(
            f"slot {wanted.slot!r} of tool {wanted.tool} can't be made: a slot's name is at most "
            f"{_LONGEST_NAME} small letters, digits and _: correct it in TOOLS_FILE"
        )
    if len(wanted.user.encode()) > _LONGEST_NAME or wanted.user == user_of("playground"):
        raise SourceError(
            f"tool {wanted.tool}: user {wanted.user} can't be made: name it otherwise"
        )


def _require_ours(conn: psycopg.Connection[Any], wanted: Grant) -> None:
    """Raise SourceError where one of the names is taken by what was not made here."""
    role = _role(conn, wanted.user)
    slot = _slot(conn, wanted.slot)
    if role is None:
        if slot is not None:
            raise SourceError(
                f"slot {wanted.slot} is there already, and `db grant` did not make it: name "
                "another in TOOLS_FILE, or drop it first: "
                f"SELECT pg_drop_replication_slot('{wanted.slot}')"
            )
        if wanted.own_publication and _scalar(conn, "publication", publication=wanted.publication):
            raise SourceError(
                f"publication {wanted.publication} is there already, and `db grant` did not make "
                "it: name another in TOOLS_FILE, or drop it first"
            )
        return
    held = _owned(role, wanted.tool)
    _require_database(conn, held)
    if held != wanted:
        raise SourceError(
            f"{wanted.tool} was granted slot {held.slot} and publication {held.publication}, and "
            f"TOOLS_FILE now says {wanted.slot} and {wanted.publication}: "
            f"run `loadgen db revoke {wanted.tool}` first"
        )
    if slot is not None and slot["plugin"] != PLUGIN:
        raise SourceError(
            f"slot {wanted.slot} has plugin {slot['plugin']}, not {PLUGIN}: run "
            f"`loadgen db revoke {wanted.tool}`, then grant again"
        )


def _owned(role: dict[str, Any], tool: str) -> Grant:
    """Return what the user was made for. Raises SourceError where `db grant` did not make it."""
    held = _read(role["comment"])
    if held is None or held.tool != tool:
        made = (
            f"for tool {held.tool}" if held else "not by `db grant` (its comment does not say so)"
        )
        raise SourceError(
            f"user {user_of(tool)} was made {made}: nothing was changed; drop it yourself, or name "
            "the tool otherwise"
        )
    return held


def _require_database(conn: psycopg.Connection[Any], held: Grant) -> None:
    if held.database != conn.info.dbname:
        remedy = "" if is_embedded(conn) else "point DATABASE_URL there, or "
        raise SourceError(
            f"user {held.user} was made for database {held.database!r} of this server, this is "
            f"{conn.info.dbname!r}: {remedy}name the tool otherwise"
        )


def _require_idle(slot: dict[str, Any] | None, held: Grant) -> None:
    if slot is None or slot["active_pid"] is None:
        return
    who = f"process {slot['active_pid']} ({slot['reader']}, from {slot['address']}"
    name = f", {slot['application']!r}" if slot["application"] else ""
    raise SourceError(
        f"slot {held.slot} is being read by {who}{name}): stop or delete the connector at the tool "
        f"first, then `loadgen db revoke {held.tool}` again; nothing was changed"
    )


def _read(comment: str | None) -> Grant | None:
    if comment is None or not comment.startswith(_MARK):
        return None
    try:
        return Grant(**parse_json(comment.removeprefix(_MARK)))
    except (TypeError, ValueError, RecursionError):
        return None


def _teller(conn: psycopg.Connection[Any], say: Say) -> Callable[[sql.Composed], None]:
    """Return what tells a statement, then runs it."""

    def run(statement: sql.Composed) -> None:
        say(statement.as_string(conn))
        conn.execute(statement)

    return run


def _tables(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("public", name) for name in names)


def _role(conn: psycopg.Connection[Any], user: str) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["role"], {"user": user}).fetchone()


def _slot(conn: psycopg.Connection[Any], slot: str | None) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["slot"], {"slot": slot}).fetchone()


def _scalar(conn: psycopg.Connection[Any], statement: str, **values: str) -> Any:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_SQL[statement], values).fetchone()
