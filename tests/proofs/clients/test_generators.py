"""What `make clients` is made of; the generators themselves run there alone."""

import re

import pytest

from proofs.clients.__main__ import _warnings
from proofs.clients.generators import GENERATORS, PROGRAMS, Generator

STEPS = ("by ", "succeeded", "baseline", "activation_gradient_rms", "label", "40")
"""Of every program: the name it submits under, the state it waits for, what it compares, reads and uploads."""


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: generator.name)
def test_a_program_takes_every_step(generator: Generator) -> None:
    text = (PROGRAMS / generator.program).read_text()
    assert all(step in text.lower() for step in STEPS)


def test_every_program_is_run() -> None:
    assert {file.name for file in PROGRAMS.iterdir() if file.is_file()} == {one.program for one in GENERATORS}


@pytest.mark.parametrize("said", ["[main] WARN o.o.c - a schema", "Warning: no title", "Unable to process schema /a"])
def test_a_warning_is_found_unless_it_is_known(said: str) -> None:
    assert _warnings(f"Generating\n{said}\nDone", ()) == [said]
    assert _warnings(f"Generating\n{said}\nDone", (re.split(r" - | ", said)[-1],)) == []
