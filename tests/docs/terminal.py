"""A reader's terminals: the blocks of one page run in order in a fresh folder.

Variables and the current folder carry over from block to block, as in a terminal. At the end all
processes that still run are killed, and the folder's servers are removed.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from loadgen.source.embedded import server
from loadgen.tools.runners import background
from tests.conftest import clean_environment, find_free_port, kill_all
from tests.docs.reading import ROOT, Block
from tests.polling import wait_for

# Commands that take minutes on a page take seconds here, except in a second terminal, in which they
# run until Ctrl-C. Apart from these texts and the ports, commands are unchanged.
SHORTER: Final = {
    "-t 10m": "-t 3s",
    "-t 1m": "-t 12s",
    # For a tool that copies in batches, verify waits for two batches; test_verify.py covers that.
    "loadgen verify                  # beside the load": "loadgen verify --tool replication",
}
# Lines that are skipped here, and the place that runs them.
ELSEWHERE: Final = {
    "make demo": "tests/acceptance/test_demo.py",
    "make setup": ".ci/run",  # the tests run in the environment that it makes
    "make test": ".ci/run",
    "make check": "tests/unit/test_project.py",  # by `make -n` only: mypy takes a minute
}
PORTS: Final = {"8089": "LOCUST_WEB_PORT", "9646": "METRICS_PORT", "9647": "WATCH_PORT"}
# Output of a program that is up. Locust prints its page's address too early: its port is probed.
_UP: Final = {
    "locust --headless": "  record: ",
    "loadgen watch": "metrics at http://",
}
# A developer's own files, which a clone does not have.
NOT_CLONED: Final = {
    ".coverage", ".git", ".env", ".loadgen", ".tools", "reports", "tools.toml", "thresholds.toml",
    "decision.toml",
}  # fmt: skip
_BLOCK_SECONDS: Final = 120
_CODE: Final = re.compile(r"^(.*?)\s+# exit code (\d+)$", re.MULTILINE)


@dataclass(slots=True)
class Reader:
    """A reader who types a page's blocks into terminals, in a fresh folder."""

    folder: Path
    ports: dict[str, str] = field(
        default_factory=lambda: {port: str(find_free_port()) for port in PORTS}
    )
    printed: list[str] = field(default_factory=list)  # output of every block that has ended
    _beside: list[tuple[Block, subprocess.Popen[str], Path]] = field(default_factory=list)

    def reads(self, block: Block) -> None:
        """Run a block as its mark says (see reading.py)."""
        mark = block.mark
        if mark.startswith("once the "):
            self._end("locust" if "load" in mark else "loadgen watch")
        if mark.startswith("in a "):
            self._begin(block)
        elif mark.startswith("until Ctrl-C"):
            self._begin(block)
            self._end(block.script)
        elif not mark.startswith("needs "):
            self._run(block)

    def close(self) -> None:
        """Kill the processes that still run."""
        for _, process, _ in self._beside:
            kill_all(process)
            process.wait()

    def _run(self, block: Block) -> None:
        done = subprocess.run(
            ["bash", "-c", self._script(block)],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        self.printed += [done.stdout, done.stderr]

    def _begin(self, block: Block) -> None:
        log = self.folder / f"terminal-{block.line}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", self._script(block)],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                text=True,
                process_group=0,
            )
        self._beside.append((block, process, log))
        said = next((said for program, said in _UP.items() if program in block.script), None)

        def is_up() -> bool:
            assert process.poll() is None, f"{block} has ended\n{log.read_text()}"
            return said in log.read_text() if said else self._page_answers()

        wait_for(is_up, f"{block} to be up", 60)

    def _page_answers(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self.ports['8089']}", timeout=10):
            return True
        return False

    def _end(self, typed: str) -> None:
        """Press Ctrl-C in the terminals that run this command, and check their exit codes."""
        for told in [one for one in self._beside if typed in one[0].script]:
            block, process, log = told
            os.killpg(process.pid, signal.SIGINT)
            code = process.wait(_BLOCK_SECONDS)
            self._beside.remove(told)
            self.printed.append(log.read_text())
            assert code in (0, 130), f"{block} ended with {code}\n{log.read_text()}"

    def _script(self, block: Block) -> str:
        """Return a script that restores the last state, runs the block and saves the state."""
        text, beside = block.script, block.mark.startswith("in a ")
        for told, seconds in SHORTER.items() if not beside else ():
            text = text.replace(told, seconds)
        for port, free in self.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        for line in ELSEWHERE:
            text = re.sub(rf"^{line}\b.*$", "", text, flags=re.MULTILINE)
        text = _CODE.sub(r"code=0; \1 || code=$?; [ $code = \2 ]", text)
        if beside:
            return f"set -eo pipefail\n{text}"
        state = shlex.quote(str(self.folder / "state"))
        before = f"set -eo pipefail\n[ ! -e {state} ] || . {state}\n"
        return f'{before}{text}\n{{ declare -px; printf "cd %q" "$PWD"; }} >{state}\n'

    def _environment(self) -> dict[str, str]:
        return clean_environment(
            {variable: self.ports[port] for port, variable in PORTS.items()}, measured=False
        )


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Reader]:
    """Yield a reader in a folder with links to a clone's files; end its servers and processes."""
    for path in ROOT.iterdir():
        if path.name not in NOT_CLONED:
            (folder / path.name).symlink_to(path)
    reader = Reader(folder)
    try:
        yield reader
    finally:
        reader.close()
        tools = [*folder.glob(".loadgen/tools/*/")]
        for tool in tools:
            background.stop(tool)
        for place in (*tools, folder):
            server.reset(place)
