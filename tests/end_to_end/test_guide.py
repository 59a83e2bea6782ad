"""A table becomes an answer by the lines of docs/api.md as they stand there, in a shell and in Python."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.supervisor import Clinic
from tests import processes
from tests.end_to_end.conftest import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(600)]

GUIDE = (ROOT / "docs" / "api.md").read_text()
SECTION = re.split(r"^### ", GUIDE.partition("### From a table to an answer\n")[2], flags=re.MULTILINE)[0]
BLOCKS = re.findall(r"^```(sh|py)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
USUAL = "http://127.0.0.1:8000"


def run(program: str, lines: str, folder: Path, clinic: Clinic) -> str:
    """At this clinic instead of the usual one. ``gradient-clinic`` is that of the tree."""
    command = folder / "gradient-clinic"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradient_clinic.command.line "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",  # noqa: TID251 -- of programs, no setting
        "PYTHONPATH": str(ROOT),
        "CLINIC_URL": clinic.address,
    }
    script = folder / f"lines.{program}"
    script.write_text(lines.replace(USUAL, clinic.address))
    shell, python = ["/bin/sh", "-e"], [sys.executable]
    interpreter = shell if program == "sh" else python
    return processes.run(*interpreter, script, environment=environment, folder=folder).stdout


def test_a_table_becomes_an_answer_line_by_line(clinic: Clinic, tmp_path: Path) -> None:
    assert [program for program, _ in BLOCKS] == ["sh", "sh", "py", "sh"]
    made, by_curl, by_python, by_command = [run(program, lines, tmp_path, clinic) for program, lines in BLOCKS]
    assert made == ""
    assert len((tmp_path / "houses.csv").read_text().splitlines()) == 401
    for answer in (by_curl, by_python, by_command):
        assert "Use standardise_targets" in answer
    assert f"{clinic.address}/dashboard/#/experiment/" in by_curl
    assert by_python.startswith("separated by commas, names from the first line, the target is price")
    assert "houses: 400 cases, stored as version " in by_command


def test_a_refused_spec_is_shown_and_nothing_waits_for_it(clinic: Clinic, tmp_path: Path) -> None:
    made, by_curl, by_python, _ = [lines for _, lines in BLOCKS]
    run("sh", made, tmp_path, clinic)
    wrong = by_curl.replace('"steps": 500', '"steps": -500')
    assert wrong != by_curl
    said = run("sh", wrong, tmp_path, clinic)
    assert '"value":-500' in said
    assert "dashboard" not in said
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("py", by_python, tmp_path, clinic)
    assert '"value":-500' in failed.value.output
