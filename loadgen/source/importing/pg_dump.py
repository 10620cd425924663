"""DDL of tables from pg_dump, which knows every kind of object.

The archive's table of contents names each object by its oids, so that pg_restore writes exactly
those that the tables need.
"""

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from loadgen.errors import SourceError, one_line
from loadgen.orphans import ended_with_us
from loadgen.source.embedded.binaries import client_folders
from loadgen.source.importing.dependencies import Object
from loadgen.source.importing.session import APPLICATION
from loadgen.source.importing.statement_texts import split_script
from loadgen.source.postgres import program_address

_SECONDS: Final = 20.0  # of each program; our own session may be idle for 60
_OPTIONS: Final = (
    "--schema-only", "--format=custom", "--lock-wait-timeout=2s", "--no-password",
    "--no-comments", "--no-publications", "--no-subscriptions", "--no-security-labels",
    "--no-toast-compression",
)  # fmt: skip
_TEXT_OPTIONS: Final = ("--no-owner", "--no-privileges", "--no-tablespaces")
# pg_dump takes its own time limits back, but these stay. A killed one leaves no waiting backend.
_SESSION: Final = "-c default_transaction_read_only=on -c client_connection_check_interval=1s"
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
# A line of the table of contents: the entry's number; the catalogue, the object; its kind.
_ENTRY: Final = re.compile(r"\d+; (\d+) (\d+) (.*)")
# Entries without an object, which belong to tables or their sequences.
_ATTACHMENTS: Final = ("TABLE ATTACH ", "INDEX ATTACH ", "SEQUENCE OWNED BY ")
_SETTING: Final = re.compile(r"SET |SELECT pg_catalog\.set_config\('search_path', '', false\)")


def dumped_ddl(
    url: str, server_version: int, needed: frozenset[Object], pg_bin: Path | None
) -> list[str]:
    """Return the statements that make the needed objects. Raises SourceError if pg_dump can't."""
    folder = _folder(server_version // 10000, pg_bin)
    address, environment = program_address(url, APPLICATION, _SESSION)
    with TemporaryDirectory(prefix="loadgen-import-") as work:
        archive, entries = Path(work, "archive"), Path(work, "entries")
        to_archive = (*_OPTIONS, f"--file={archive}", f"--dbname={address}")
        _run(folder / "pg_dump", to_archive, environment)
        contents = _run(folder / "pg_restore", ("--list", str(archive)), environment)
        entries.write_text("\n".join(_wanted(contents, needed)), encoding="utf-8")
        to_text = (*_TEXT_OPTIONS, f"--use-list={entries}", "--file=-", str(archive))
        return ddl_statements(_run(folder / "pg_restore", to_text, environment))


def ddl_statements(text: str) -> list[str]:
    """Return the statements of pg_restore's output without comments and settings."""
    return [
        re.sub(r"^CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ", statement)
        for statement in split_script(text)
        if not _SETTING.match(statement)
    ]


def _folder(server: int, pg_bin: Path | None) -> Path:
    """Return a folder with a pg_dump that is at least the server's version."""
    versions = []
    for folder in client_folders(pg_bin):
        try:
            version = _VERSION.search(_run(folder / "pg_dump", ["--version"], None))
        except SourceError:
            continue
        if version and int(version[1]) >= server:
            return folder
        versions += [version[1]] if version else []
    if versions:
        raise SourceError(f"pg_dump is version {max(versions, key=int)}, the server {server}")
    raise SourceError("there is no pg_dump")


def _wanted(contents: str, needed: frozenset[Object]) -> Iterable[str]:
    for line in contents.splitlines():
        entry = _ENTRY.match(line)
        if entry and (
            (int(entry[1]), int(entry[2])) in needed or entry[3].startswith(_ATTACHMENTS)
        ):
            yield line


def _run(program: Path, options: Sequence[str], environment: dict[str, str] | None) -> str:
    """Return a program's output. Raises SourceError with its message if it fails or is too slow."""
    try:
        with (
            ended_with_us() as children,
            subprocess.Popen(  # noqa: S603 - the command is built here
                [program, *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process,
        ):
            children.began(process)
            try:
                output, errors = process.communicate(timeout=_SECONDS)
            except BaseException:
                process.kill()
                raise
            finally:
                children.ended(process)
    except subprocess.TimeoutExpired as exc:
        raise SourceError(f"{program.name} took more than {_SECONDS:g} s") from exc
    except OSError as exc:
        raise SourceError(f"{program.name} can't be run: {one_line(exc)}") from exc
    if process.returncode:
        raise SourceError(f"{program.name}: {one_line(errors.decode(errors='replace'))}")
    return output.decode()
