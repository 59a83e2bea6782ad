"""The walks of ``docs/architecture.md`` lead through the code as it is."""

import re

import pytest

from tests.processes import ROOT

STOPS = re.findall(r"`([\w/]+\.py)`: `(\w+)`", (ROOT / "docs" / "architecture.md").read_text())


def test_there_are_stops() -> None:
    assert len(STOPS) > 35


@pytest.mark.parametrize(("file", "name"), STOPS)
def test_what_a_stop_names_is_in_its_file(file: str, name: str) -> None:
    assert re.search(rf"(?m)^ *(?:async )?(?:def|class) {name}\b", (ROOT / file).read_text())
