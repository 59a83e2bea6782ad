"""The version stands in one place, and the changelog knows it."""

import re
from pathlib import Path

from api.app import version

ROOT = Path(__file__).parent.parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_the_newest_section_of_the_changelog_is_of_this_version() -> None:
    sections = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", CHANGELOG, re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == version()
    assert sections[1][1]
    assert len(sections) == CHANGELOG.count("\n## ")


def test_a_change_has_one_line() -> None:
    lines = [line for line in CHANGELOG.partition("\n## ")[2].splitlines() if line]
    assert all(re.match(r"- \S|#|\[|[A-Z][^.]*$", line) for line in lines)
    assert all(len(line) <= 120 for line in lines)
