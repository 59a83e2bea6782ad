"""How far a reader has to follow imports inside a room."""

from functools import cache

import grimp
import pytest

LONGEST = 8
# Its cache looks at times of files, which a checkout does not keep apart.
GRAPH = grimp.build_graph("gradient_clinic", "models", cache_dir=None)


@pytest.mark.parametrize(
    "room", ["models.analysis", "models.plan", "models.specs", "gradient_clinic.verdict", "gradient_clinic.gains"]
)
def test_no_chain_of_imports_inside_a_room_is_longer(room: str) -> None:
    inside = {module for module in GRAPH.modules if module == room or module.startswith(f"{room}.")}

    @cache
    def chain(module: str) -> tuple[str, ...]:
        below = (chain(its) for its in GRAPH.find_modules_directly_imported_by(module) if its in inside)
        return (module, *max(below, key=len, default=()))

    longest = max(map(chain, inside), key=len)
    assert len(longest) <= LONGEST, " > ".join(longest)
