"""TLS on a test's server."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from loadgen.source.postgres import connect
from tests.conftest import Cluster


@contextmanager
def tls(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Let the server accept TLS, with a self-signed certificate that is made in `folder`."""
    with connect(cluster.info.dsn) as admin:
        (data,) = admin.execute("SHOW data_directory").fetchone() or ("",)
        owner = Path(data).stat()
        command = ["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost"]
        command += ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
        subprocess.run(command, check=True, capture_output=True)
        for name in ("key", "certificate"):
            kept = Path(data) / f"test-{name}"
            shutil.copy(folder / name, kept)
            os.chown(kept, owner.st_uid, owner.st_gid)
            kept.chmod(0o600)
        settings = {"ssl_key_file": "test-key", "ssl_cert_file": "test-certificate", "ssl": "on"}
        try:
            for setting, value in settings.items():
                alter = sql.SQL("ALTER SYSTEM SET {} = {}")
                admin.execute(alter.format(sql.Identifier(setting), sql.Literal(value)))
            admin.execute("SELECT pg_reload_conf()")
            yield
        finally:
            for setting in settings:
                admin.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(setting)))
            admin.execute("SELECT pg_reload_conf()")
