"""Keeping a program alive: accidents are repaired, hopeless cases end with their last words."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.child import Child, Program
from local.errors import CannotStartError
from local.folder import Folder
from local.identity import started
from local.kept import Kept
from tests.local.conftest import ROOT, Eventually


@pytest.fixture
def folder() -> Iterator[Folder]:
    """Without a cluster: no server is started here."""
    folder = Folder.temporary(ROOT, ".clinic-test-")
    yield folder
    folder.release()


def program(folder: Folder, code: str) -> Program:
    return Program(
        name="worker",
        argv=(sys.executable, "-c", code),
        log=folder.log("worker"),
        record=folder.record("worker"),
        environment={},
    )


def test_a_program_that_is_killed_is_started_again(
    folder: Folder, eventually: Eventually, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept(Child(program(folder, "import time; time.sleep(600)")))
    first = kept.pid
    assert first is not None
    kept.kill()

    def another_one_runs() -> bool:
        kept.tend()
        return kept.pid not in {None, first}

    assert eventually(another_one_runs)
    assert "worker ended with code -9; starting it again" in capsys.readouterr().err
    kept.stop()


def test_a_program_that_never_starts_is_given_up_with_its_last_words(folder: Folder, eventually: Eventually) -> None:
    kept = Kept(Child(program(folder, "raise SystemExit('no broker at all')")))

    def tended_for_ever() -> bool:
        kept.tend()
        return False

    with pytest.raises(CannotStartError, match=r"(?s)it ended with code 1, 3 times.*no broker at all"):
        eventually(tended_for_ever)


def test_what_a_program_has_started_ends_with_it(folder: Folder, eventually: Eventually, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = Child(
        program(
            folder,
            "import subprocess, sys, time; from pathlib import Path\n"
            "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            f"Path({str(note)!r}).write_text(str(inner.pid)); time.sleep(600)",
        )
    )
    assert eventually(lambda: note.exists() and note.read_text() != "")
    child.stop()
    assert eventually(lambda: started(int(note.read_text())) is None)
