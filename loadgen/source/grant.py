"""A tool's access to the source: its user, rights, publication and slot, granted and revoked.

The user's comment names the tool, database, slot and publication that it was made for; users
without that comment are left alone. A slot can't carry a comment, so the user is made first, and
only if no slot of that name exists.
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
from loadgen.source.model_schema import identifiers, qualified
from loadgen.source.postgres import Connection, is_embedded, plain_errors
from loadgen.source.schema import PUBLICATION, published_tables
from loadgen.sql import statements
from loadgen.untrusted import parse_json

Show = Callable[[str], None]
Run = Callable[[sql.Composed], None]

PLUGIN: Final = "pgoutput"
_MARK: Final = "loadgen db grant: "
_HIDDEN: Final = "'***'"
_LONGEST_NAME: Final = 63  # bytes of an identifier
_SLOT_NAME: Final = re.compile(r"[a-z0-9_]{1,63}")
_SQL: Final = statements("loadgen.source", "grant.sql")


@dataclass(frozen=True, slots=True)
class Grant:
    """A tool's access to the source; `slot` is None for a tool that reads by queries."""

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
        """Whether the publication belongs to this tool alone."""
        return self.publication != PUBLICATION

    @property
    def comment(self) -> str:
        """The comment on the user."""
        return _MARK + json.dumps(asdict(self), sort_keys=True)


def user_of(tool: str) -> str:
    """Return the name of a tool's user."""
    return f"loadgen_{tool.lower().replace('-', '_')}"


def list_grants(conn: Connection) -> tuple[Grant, ...]:
    """Return the grants on this server, in any of its databases."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        comments = cursor.execute(_SQL["granted"]).fetchall()
    return tuple(grant for comment in comments if (grant := _parse(comment)) is not None)


def create_grant(
    conn: Connection, grant: Grant, show: Show, password: str | None = None
) -> str | None:
    """Make the missing parts of `grant`; `show` gets each statement, without the password.

    Returns the password if the user was made now, None if it existed. The server receives a SCRAM
    verifier, so that its log can't hold the password. Raises SourceError if one of the names
    belongs to something else, or Postgres refuses.
    """
    _check_names(grant)
    doing, run = f"granting to {grant.tool}", _shown_and_run(conn, show)
    with plain_errors(doing):
        _require_ours(conn, grant)
        chosen = None
        with first_write(conn, doing), conn.transaction():
            if not _role(conn, grant.user):
                chosen = password or secrets.token_urlsafe(24)
                _make_user(conn, grant, chosen, show)
            _give_rights(conn, grant, run)
            _make_publication(conn, grant, run)
        try:
            _make_slot(conn, grant, run)
        except psycopg.Error:
            if chosen is not None:  # without its password, which is not shown yet, it is useless
                with conn.transaction():
                    _drop(conn, grant, run)
            raise
    return chosen


def revoke_grant(conn: Connection, tool: str, show: Show) -> bool:
    """Remove what `create_grant` made for a tool; returns whether there was anything.

    Raises SourceError, with nothing changed, if the user was not made here or its slot is in use.
    """
    doing = f"revoking from {tool}"
    with plain_errors(doing):
        role = _role(conn, user_of(tool))
        if role is None:
            return False
        grant = _owned(role, tool)
        _require_database(conn, grant)
        slot = _slot(conn, grant.slot)
        _require_idle(slot, grant)
        run = _shown_and_run(conn, show)
        # So that the tool can't reconnect meanwhile.
        with first_write(conn, doing):
            run(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(grant.user)))
        conn.execute(_SQL["end_sessions"], {"user": grant.user})
        if slot:
            run(sql.SQL("SELECT pg_drop_replication_slot({})").format(sql.Literal(grant.slot)))
        with conn.transaction():
            _drop(conn, grant, run)
    return True


def _drop(conn: Connection, grant: Grant, run: Run) -> None:
    user = sql.Identifier(grant.user)
    if grant.own_publication and _scalar(conn, "publication", publication=grant.publication):
        run(sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(grant.publication)))
    tables = published_tables(conn)
    run(sql.SQL("REVOKE SELECT ON TABLE {} FROM {}").format(identifiers(tables), user))
    run(sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(_schemas(tables), user))
    database = sql.Identifier(grant.database)
    run(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(database, user))
    run(sql.SQL("DROP ROLE {}").format(user))


def _make_user(conn: Connection, grant: Grant, password: str, show: Show) -> None:
    user, run = sql.Identifier(grant.user), _shown_and_run(conn, show)
    managed = _scalar(conn, "rds")
    replicates = grant.slot is not None
    right = "REPLICATION" if replicates and not managed else "NOREPLICATION"
    make = sql.SQL(f"CREATE ROLE {{}} LOGIN {right} PASSWORD {{}}")
    verifier = conn.pgconn.encrypt_password(
        password.encode(), grant.user.encode(), b"scram-sha-256"
    ).decode()
    show(make.format(user, sql.SQL(_HIDDEN)).as_string(conn))
    conn.execute(make.format(user, sql.Literal(verifier)))
    if replicates and managed:
        run(sql.SQL("GRANT rds_replication TO {}").format(user))
    run(sql.SQL("COMMENT ON ROLE {} IS {}").format(user, sql.Literal(grant.comment)))


def _give_rights(conn: Connection, grant: Grant, run: Run) -> None:
    user, tables = sql.Identifier(grant.user), published_tables(conn)
    with conn.cursor(row_factory=dict_row) as cursor:
        parameters = {
            "user": grant.user,
            "schemas": list(dict.fromkeys(schema for schema, _ in map(qualified, tables))),
            "names": [identifiers([table]).as_string(conn) for table in tables],
            "tables": list(tables),
        }
        rights = cursor.execute(_SQL["rights"], parameters).fetchone() or {}
    if not rights["connects"]:
        database = sql.Identifier(grant.database)
        run(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, user))
    if rights["unused"]:
        schemas = sql.SQL(", ").join(map(sql.Identifier, rights["unused"]))
        run(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schemas, user))
    if rights["unread"]:
        run(sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(identifiers(rights["unread"]), user))


def _make_publication(conn: Connection, grant: Grant, run: Run) -> None:
    if _scalar(conn, "publication", publication=grant.publication):
        return
    if not grant.own_publication:
        raise SourceError(
            f"there is no publication {PUBLICATION!r}: make it with `loadgen seed`, then grant"
        )
    make = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)")
    tables = identifiers(published_tables(conn))
    run(make.format(sql.Identifier(grant.publication), tables))


def _make_slot(conn: Connection, grant: Grant, run: Run) -> None:
    if grant.slot is None or _slot(conn, grant.slot):
        return
    make = sql.SQL("SELECT pg_create_logical_replication_slot({}, {})")
    run(make.format(sql.Literal(grant.slot), sql.Literal(PLUGIN)))


def _check_names(grant: Grant) -> None:
    if grant.slot is not None and not _SLOT_NAME.fullmatch(grant.slot):
        raise SourceError(
            f"slot {grant.slot!r} of tool {grant.tool} can't be made: a slot's name is at most "
            f"{_LONGEST_NAME} small letters, digits and _: correct it in TOOLS_FILE"
        )
    if len(grant.user.encode()) > _LONGEST_NAME or grant.user == user_of("playground"):
        raise SourceError(
            f"tool {grant.tool}: user {grant.user} can't be made: choose another name"
        )


def _require_ours(conn: Connection, grant: Grant) -> None:
    """Raise SourceError if one of the names belongs to something that `db grant` did not make."""
    role = _role(conn, grant.user)
    slot = _slot(conn, grant.slot)
    if role is None:
        if slot is not None:
            raise SourceError(
                f"slot {grant.slot} exists already, and `db grant` did not make it: name "
                "another in TOOLS_FILE, or drop it first: "
                f"SELECT pg_drop_replication_slot('{grant.slot}')"
            )
        if grant.own_publication and _scalar(conn, "publication", publication=grant.publication):
            raise SourceError(
                f"publication {grant.publication} exists already, and `db grant` did not make "
                "it: name another in TOOLS_FILE, or drop it first"
            )
        return
    existing = _owned(role, grant.tool)
    _require_database(conn, existing)
    if existing != grant:
        raise SourceError(
            f"{grant.tool} was granted slot {existing.slot} and publication "
            f"{existing.publication}, and TOOLS_FILE now has {grant.slot} and {grant.publication}: "
            f"run `loadgen db revoke {grant.tool}` first"
        )
    if slot is not None and slot["plugin"] != PLUGIN:
        raise SourceError(
            f"slot {grant.slot} has plugin {slot['plugin']}, not {PLUGIN}: run "
            f"`loadgen db revoke {grant.tool}`, then grant again"
        )


def _owned(role: dict[str, Any], tool: str) -> Grant:
    """Return the grant in the user's comment. Raises SourceError if `db grant` did not make it."""
    grant = _parse(role["comment"])
    if grant is None or grant.tool != tool:
        made = (
            f"for tool {grant.tool}" if grant else "not by `db grant` (its comment does not say so)"
        )
        raise SourceError(
            f"user {user_of(tool)} was made {made}: nothing was changed; drop it yourself, or "
            "give the tool another name"
        )
    return grant


def _require_database(conn: Connection, grant: Grant) -> None:
    if grant.database != conn.info.dbname:
        remedy = "" if is_embedded(conn) else "point DATABASE_URL there, or "
        raise SourceError(
            f"user {grant.user} was made for database {grant.database!r} of this server, this is "
            f"{conn.info.dbname!r}: {remedy}give the tool another name"
        )


def _require_idle(slot: dict[str, Any] | None, grant: Grant) -> None:
    if slot is None or slot["active_pid"] is None:
        return
    application = f", {slot['application']!r}" if slot["application"] else ""
    reader = f"process {slot['active_pid']} ({slot['reader']}, from {slot['address']}{application})"
    raise SourceError(
        f"slot {grant.slot} is being read by {reader}: stop or delete the connector at the tool "
        f"first, then `loadgen db revoke {grant.tool}` again; nothing was changed"
    )


def _parse(comment: str | None) -> Grant | None:
    if comment is None or not comment.startswith(_MARK):
        return None
    try:
        return Grant(**parse_json(comment.removeprefix(_MARK)))
    except (TypeError, ValueError, RecursionError):
        return None


def _shown_and_run(conn: Connection, show: Show) -> Run:
    """Return a function that shows a statement, then runs it."""

    def run(statement: sql.Composed) -> None:
        show(statement.as_string(conn))
        conn.execute(statement)

    return run


def _schemas(tables: Sequence[str]) -> sql.Composed:
    names = dict.fromkeys(schema for schema, _ in map(qualified, tables))
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _role(conn: Connection, user: str) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["role"], {"user": user}).fetchone()


def _slot(conn: Connection, slot: str | None) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["slot"], {"slot": slot}).fetchone()


def _scalar(conn: Connection, statement: str, **parameters: str) -> Any:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_SQL[statement], parameters).fetchone()
