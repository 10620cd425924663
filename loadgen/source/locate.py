"""Which database is the source: the one at DATABASE_URL, else the project's embedded server."""

from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import SourceError
from loadgen.source.embedded import server

if TYPE_CHECKING:
    from loadgen.config.settings import Settings


def source_dsn(settings: "Settings", *, start: bool = True, project: Path | None = None) -> str:
    """Return the source's DSN; the embedded server is started for it unless `start` is False.

    `project` is the folder that the embedded server belongs to, by default the current one.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    project = project or Path.cwd()
    if start:
        return server.start(project, pg_bin=settings.pg_bin).dsn
    running = server.status(project)
    if running is None:
        raise SourceError(
            f"no embedded Postgres runs for {project}: start it with `loadgen db up`, or set "
            "DATABASE_URL"
        )
    return running.dsn
