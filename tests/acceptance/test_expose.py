"""`loadgen expose` is refused unless it is safe, and always closes its tunnel.

A stand-in for ngrok serves its local API and forwards TCP; the service is never contacted.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from loadgen.source.embedded import server
from loadgen.source.embedded.account import server_account
from loadgen.source.grant import Grant, create_grant, revoke_grant
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model
from tests.conftest import RunLoadgen, clean_environment, find_free_port, kill_all, spawning
from tests.granting import as_user, ignore
from tests.polling import wait_for

NGROK = """#!{python}
import json, os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

mode, api = os.environ["STAND_IN"], int(os.environ["STAND_IN_API"])
assert sys.argv[1] == "tcp", sys.argv
if mode == "no login":
    print("ERROR:  authentication failed: Usage of ngrok requires a verified account")
    sys.exit("ERROR:  ERR_NGROK_4018")
if mode == "broken":
    sys.exit("lvl=crit msg=whatever")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "silent":
    time.sleep(600)
host, port = sys.argv[2].rsplit(":", 1)
door = socket.create_server(("127.0.0.1", 0))


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    target.close()


def forward():
    while True:
        client, _ = door.accept()
        inner = socket.create_connection((host, int(port)))
        for pair in ((client, inner), (inner, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        url = "tcp://127.0.0.1:%d" % door.getsockname()[1]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"tunnels": [{{"public_url": url}}]}}).encode())
        if mode == "ends early":
            os._exit(3)

    def log_message(self, *_):
        pass


threading.Thread(target=forward, daemon=True).start()
HTTPServer(("127.0.0.1", api), Api).serve_forever()
"""

Environment = dict[str, str]


@pytest.fixture(scope="module")
def tls_server(debian_bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the DSN of Debian's Postgres with TLS on, and a self-signed certificate."""
    project = tmp_path_factory.mktemp("tls")
    info = server.start(project, pg_bin=debian_bin, port=find_free_port())
    try:
        key, certificate = (info.data_dir / f"server.{end}" for end in ("key", "crt"))
        options = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
        files = ("-keyout", str(key), "-out", str(certificate))
        subprocess.run(
            ["openssl", "req", "-x509", *options, *files],
            check=True,
            timeout=60,
            capture_output=True,
        )
        for path in (key, certificate):
            path.chmod(0o600)
            server_account().own(path)
        with connect(info.dsn) as conn:
            migrate(conn, read_model("shop"))
            conn.execute("ALTER SYSTEM SET ssl = on")
            conn.execute("SELECT pg_reload_conf()")
        with connect(info.dsn) as conn:
            wait_for(lambda: conn.execute("SHOW ssl").fetchone() == ("on",), "TLS")
        yield info.dsn
    finally:
        server.reset(project)


@pytest.fixture
def granted(tls_server: str) -> Iterator[tuple[str, str]]:
    """Yield the DSN of the server and the DSN of a granted user."""
    with connect(tls_server) as conn:
        wanted = Grant("visitor", conn.info.dbname, "visitor_slot", "loadgen")
        password = create_grant(conn, wanted, ignore)
        assert password is not None
        yield tls_server, as_user(tls_server, wanted.user, password)
        revoke_grant(conn, "visitor", ignore)


@pytest.fixture
def ngrok(tmp_path: Path) -> Callable[[str], Environment]:
    """Return a function that makes an environment with ngrok's stand-in in a given mode."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ngrok"
    program.write_text(NGROK.format(python=sys.executable))
    program.chmod(0o755)
    api = str(find_free_port())

    def make(mode: str) -> Environment:
        path = f"{folder}:{os.environ['PATH']}"
        return {"STAND_IN": mode, "STAND_IN_API": api, "PATH": path}

    return make


def api_of(env: Mapping[str, str]) -> tuple[str, str]:
    """Return the arguments that name the stand-in's API."""
    return "--ngrok-api", f"http://127.0.0.1:{env['STAND_IN_API']}"


@contextmanager
def exposed(
    dsn: str, env: Environment, project: Path, *arguments: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run `loadgen expose` unbuffered, and kill any child that it leaves behind."""
    with spawning() as spawn:
        command = ("-m", "loadgen", "expose", *api_of(env), *arguments)
        environment = env | {"DATABASE_URL": dsn, "PYTHONUNBUFFERED": "1"}
        yield spawn(*command, cwd=project, env=environment, measured=False)


def told(process: "subprocess.Popen[str]") -> list[str]:
    """Return the output until the tunnel is open."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if "closes" in line:
            return lines
    pytest.fail(f"it never opened: {lines}")


def address(lines: list[str]) -> tuple[str, int]:
    """Return the tunnel's host and port."""
    (line,) = (line for line in lines if line.startswith("open: "))
    host, _, port = line.split()[1].rpartition(":")
    return host, int(port)


def answers(where: tuple[str, int]) -> bool:
    """Return whether the address accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(where) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_tool_comes_in_until_it_is_closed(
    granted: tuple[str, str],
    ngrok: Callable[[str], Environment],
    project: Path,
    number: signal.Signals,
) -> None:
    """The granted user connects over TLS to the printed address; a signal ends tunnel and ngrok."""
    dsn, visitor = granted
    with exposed(dsn, ngrok("open"), project, "--tool", "visitor") as process:
        lines = told(process)
        host, port = address(lines)
        text = "\n".join(lines)
        assert "WARNING: this opens a Postgres port to the internet" in text
        cells = [line.split() for line in lines]
        assert ["host", host] in cells
        assert ["port", str(port)] in cells
        assert ["user", "loadgen_visitor"] in cells
        assert ["slot", "visitor_slot"] in cells
        assert "allows connections without TLS too" in text
        assert all(len(line) <= 100 for line in lines)
        with psycopg.connect(visitor, host=host, port=port, sslmode="require") as conn:
            tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert conn.execute(tls).fetchone() == (True,)
        children = psutil.Process(process.pid).children()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
        assert (process.returncode, rest) == (130, "Tunnel closed and verified closed.\n")
        assert not any(child.is_running() for child in children)
        assert not answers((host, port))


def test_killed_it_is_closed_by_others(
    granted: tuple[str, str], ngrok: Callable[[str], Environment], project: Path
) -> None:
    """A killed command leaves no open port."""
    with exposed(granted[0], ngrok("open"), project) as process:
        where = address(told(process))
        assert answers(where)
        process.kill()
        wait_for(lambda: not answers(where), "the tunnel to close")


@pytest.mark.parametrize("mode", ["open", "stubborn"])
def test_it_closes_when_it_is_time(
    granted: tuple[str, str], ngrok: Callable[[str], Environment], project: Path, mode: str
) -> None:
    """The tunnel closes after --minutes, even if ngrok ignores SIGTERM."""
    with exposed(granted[0], ngrok(mode), project, "--minutes", "0.02") as process:
        where = address(told(process))
        rest, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert rest.endswith("Time limit reached. Tunnel closed and verified closed.\n")
        assert not answers(where)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("no login", "log in first: ngrok config add-authtoken TOKEN"),
        ("broken", "exit code 1: lvl=crit msg=whatever"),
        ("ends early", "exit code 3"),
    ],
)
def test_an_ngrok_that_gives_up(
    granted: tuple[str, str],
    ngrok: Callable[[str], Environment],
    run_loadgen: RunLoadgen,
    mode: str,
    said: str,
) -> None:
    """One line says why ngrok ended."""
    env = ngrok(mode)
    done = run_loadgen("expose", *api_of(env), env=env | {"DATABASE_URL": granted[0]})
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_ngrok_that_says_nothing(
    granted: tuple[str, str], ngrok: Callable[[str], Environment], tmp_path: Path
) -> None:
    """A silent ngrok is given up and ended."""
    env = ngrok("silent")
    code = (
        "import loadgen.source.tunnel, sys; loadgen.source.tunnel._OPENS_WITHIN_SECONDS = 1.0; "
        "from loadgen.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "expose", *api_of(env)],
        cwd=tmp_path,
        env=clean_environment(env | {"DATABASE_URL": granted[0]}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "names no tunnel at" in done.stderr) == (2, True)
    program = str(tmp_path / "bin" / "ngrok")
    assert not [p for p in psutil.process_iter(["cmdline"]) if program in (p.info["cmdline"] or [])]


def test_another_ngrok_is_left_alone(
    granted: tuple[str, str], ngrok: Callable[[str], Environment], run_loadgen: RunLoadgen
) -> None:
    """An ngrok that already runs is left running, and the command is refused."""
    env = ngrok("open")
    where = ("127.0.0.1", int(env["STAND_IN_API"]))
    with subprocess.Popen(["ngrok", "tcp", "127.0.0.1:1"], env=env) as other:
        try:
            wait_for(lambda: answers(where), "the other one")
            done = run_loadgen("expose", *api_of(env), env=env | {"DATABASE_URL": granted[0]})
            assert (done.returncode, "runs already" in done.stderr) == (2, True)
            assert other.poll() is None
        finally:
            kill_all(other)


def test_no_ngrok(granted: tuple[str, str], run_loadgen: RunLoadgen, tmp_path: Path) -> None:
    """The error names the alternatives to ngrok."""
    env = {"DATABASE_URL": granted[0], "PATH": str(tmp_path)}
    done = run_loadgen("expose", "--ngrok-api", "http://127.0.0.1:1", env=env)
    assert (done.returncode, "SSH bastion or RDS" in done.stderr) == (2, True)


def test_what_is_not_safe_is_refused(
    tls_server: str, database: str, run_loadgen: RunLoadgen
) -> None:
    """Missing TLS or SCRAM, no dedicated user, a remote ngrok API and bad minutes are refused."""

    def refused(dsn: str, *arguments: str) -> str:
        done = run_loadgen("expose", *arguments, env={"DATABASE_URL": dsn})
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        return done.stderr

    assert "no TLS (the embedded wheel is built without it)" in refused(database)
    assert "make one with `loadgen db grant TOOL`" in refused(tls_server)
    assert "`loadgen db grant rivery`" in refused(tls_server, "--tool", "rivery")
    assert "not http://127.0.0.1" in refused(tls_server, "--ngrok-api", "https://elsewhere")
    assert "must be minutes, above 0" in refused(tls_server, "--minutes", "-1")
    with connect(tls_server) as conn:
        ((name,),) = conn.execute("SHOW hba_file").fetchall()
        former = Path(name).read_text(encoding="utf-8")
        try:
            Path(name).write_text(former + "hostssl all all 127.0.0.1/32 trust\n")
            assert "allows connections by trust" in refused(tls_server)
        finally:
            Path(name).write_text(former)
