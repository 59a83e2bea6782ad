"""A name of a file means one thing within its room. (In ``api`` a resource's routes and views share its name.)"""

from collections import Counter

import pytest

from tests.processes import ROOT

PARTS_OF_PROOFS = tuple(f"proofs/{part}" for part in ("outcomes", "faults", "gpu"))
ROOMS = (
    "api/dashboard",
    "api/http",
    "api/report",
    "api/uploads",
    "worker",
    "models",
    "gradient_clinic",
    "local",
    *PARTS_OF_PROOFS,
)


@pytest.mark.parametrize("room", ROOMS)
def test_no_two_modules_of_a_room_have_one_name(room: str) -> None:
    names = Counter(file.stem for file in (ROOT / room).rglob("*.py") if not file.stem.startswith("__"))
    assert names
    assert [name for name, count in names.items() if count > 1] == []
