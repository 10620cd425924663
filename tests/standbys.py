"""Sets which synchronous standbys a server waits for."""

from psycopg import sql

from loadgen.source.postgres import connect
from tests.polling import wait_for


def require_standbys(dsn: str, names: str) -> None:
    """Set synchronous_standby_names, and wait until it holds."""
    with connect(dsn) as admin:
        admin.execute("SET synchronous_commit = local")
        setting = sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}")
        admin.execute(setting.format(sql.Literal(names)))
        admin.execute("SELECT pg_reload_conf()")
        shown = "SHOW synchronous_standby_names"
        wait_for(lambda: admin.execute(shown).fetchone() == (names,), "the setting")
