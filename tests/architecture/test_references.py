"""What the code refers to is in the tree: no document that a reader does not have."""

import re

import pytest

from tests.processes import ROOT

ELSEWHERE = re.compile(r"\bscience \d|\bthe contract\b|\bcontract's\b|\(contract\b")
ROOMS = ("api", "worker", "models", "gradient_clinic", "local", "proofs")


@pytest.mark.parametrize("room", ROOMS)
def test_no_line_refers_to_a_document_outside_the_tree(room: str) -> None:
    lines = ((file, line) for file in (ROOT / room).rglob("*.py") for line in file.read_text().splitlines())
    assert [f"{file}: {line}" for file, line in lines if ELSEWHERE.search(line)] == []
