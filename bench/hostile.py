"""Can any file end a command in a traceback? Each file of a project spoilt at random.

    python -m bench.hostile [--cases 200] [--first 0]

A case changes one file, by its number; then each command that reads the file runs. `make test` runs
the first few of each file.
"""

import argparse
import io
import os
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from bench.results import write_results
from loadgen import cli
from loadgen.errors import EXIT_CODES
from tests.hostile import READ_BY, RUN, make_project, perform, spoil


def main() -> int:
    """Run the cases and print the findings; 1 if a command raised or moved the cursor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="of each file")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # matplotlib's, of figures that are no figures
    found: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        made.mkdir()
        make_project(made)
        os.chdir(made)
        os.environ["RATE_CARDS_DIR"] = "cards"
        with redirect_stdout(io.StringIO()):
            cli.main(["costs", "--run", RUN])
        for case in range(arguments.first, arguments.first + arguments.cases):
            for name in READ_BY:
                _perform(made, name, case, codes, found)
        os.chdir(home)
    ended = {str(code): number for code, number in sorted(codes.items())}
    write_results("hostile", {"cases": arguments.cases, "codes": ended, "faults": dict(found)})
    for text in found:
        print(text)
    return int(bool(found))


def _perform(made: Path, name: str, case: int, codes: Counter[int], found: Counter[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(made, project, symlinks=True)
        os.chdir(project)
        spoil(project / name, case)
        for command in READ_BY[name]:
            output = io.StringIO()
            try:
                with redirect_stdout(output), redirect_stderr(output):
                    code, said = perform(command, project)
            except Exception as exc:  # noqa: BLE001 - any is a finding
                place = traceback.extract_tb(exc.__traceback__)[-1]
                found[f"{type(exc).__name__} at {Path(place.filename).name}:{place.lineno}"] += 1
                print(f"case {case} of {name}, {command}: {exc!r}")
                continue
            codes[code] += 1
            text = f"{output.getvalue()}{said}"
            if code not in EXIT_CODES or not text.replace("\n", "").replace("\t", "").isprintable():
                found[f"{command}: code {code}, or a character that is obeyed"] += 1
                print(f"case {case} of {name}, {command}: code {code}")
        os.chdir(made)


if __name__ == "__main__":
    raise SystemExit(main())
