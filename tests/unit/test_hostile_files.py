"""Files that others may have written: whatever they hold, a command ends in its own words."""

import re
import shutil
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.errors import EXIT_CODES
from tests.hostile import READ_BY, make_project, perform, spoil

CASES = 5
LONGEST = 900  # characters of a line
_PLAIN = re.compile(r"[^ -~\n\t]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with every file, none of them spoilt, and its costs."""
    folder = tmp_path_factory.mktemp("made")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RATE_CARDS_DIR", str(folder / "cards"))
        assert cli.main(["costs", "--run", "20261123T080000Z-0001"]) == 0
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")  # matplotlib's, of figures that are no figures
@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("name", READ_BY)
def test_no_file_can_end_a_command_in_a_traceback(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    case: int,
) -> None:
    """It ends with a code of its own, and what it says has no character that moves the cursor."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RATE_CARDS_DIR", str(folder / "cards"))
    spoil(folder / name, case)
    for command in READ_BY[name]:
        capsys.readouterr()
        code, said = perform(command, folder)
        output, error = capsys.readouterr()
        error += said
        assert code in EXIT_CODES
        if code == 2:
            assert error
        for line in error.splitlines():
            assert line.startswith("loadgen: "), error
            assert len(line) <= LONGEST, error
        for text in (output, error):
            assert not [one for one in _PLAIN.findall(text) if not one.isprintable()]
