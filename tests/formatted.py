"""What ruff says of files that stand alone."""

import sys
from pathlib import Path

from tests.processes import run

RUFF = Path(sys.executable).parent / "ruff"


def faults_of(place: Path) -> str:
    """Of a file, or of all in a folder. Empty where they are in ruff's format, and no name or import is missing or not
    needed.
    """
    asked = (["format", "--diff"], ["check", "--select", "E,F,I,B,UP", "--output-format", "concise"])
    said = [run(RUFF, *its, "--isolated", "--line-length", "120", place, check=False) for its in asked]
    return "".join(its.stdout + its.stderr for its in said if its.returncode)
