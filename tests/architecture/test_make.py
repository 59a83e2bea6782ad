"""Every target of the Makefile knows how to make what it needs."""

import re

import pytest

from tests.processes import ROOT, run

TARGETS = re.findall(r"(?m)^([a-z-]+):.*## ", (ROOT / "Makefile").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_needs_has_a_rule(target: str) -> None:
    """A name that is set below a rule is empty in what that rule needs."""
    run("/usr/bin/make", "--dry-run", "--silent", target)


def test_the_targets_are_found() -> None:
    assert {"run", "test", "watched"} <= set(TARGETS)
