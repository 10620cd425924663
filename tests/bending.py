"""A database with settings that would change the values that are read and written."""

from psycopg import sql

from loadgen.source.postgres import connect

# Settings that a role, a database, PGOPTIONS or the address may set, and that must not apply.
BENDING = {
    "client_encoding": "LATIN1",
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Tokyo",
    "bytea_output": "escape",
    "extra_float_digits": "-3",
    "standard_conforming_strings": "off",
    "search_path": "elsewhere",
    "statement_timeout": "20s",
    "lock_timeout": "900ms",
    "idle_in_transaction_session_timeout": "900ms",
    "idle_session_timeout": "20s",
}
TIMEOUTS = [name for name in BENDING if name.endswith("timeout")]


def bend(dsn: str) -> None:
    """Set all of BENDING in each session of a database, and one more setting on newer servers."""
    with connect(dsn) as conn:
        name = sql.Identifier(conn.info.dbname)
        newer = {"transaction_timeout": "900ms"} if conn.info.server_version >= 170_000 else {}
        for setting, value in {**BENDING, **newer}.items():
            alter = sql.SQL("ALTER DATABASE {} SET {} = {}")
            conn.execute(alter.format(name, sql.Identifier(setting), sql.Literal(value)))
