"""Which steps are recorded."""

import pytest

from gradient_clinic.watcher.cadence import LEAD, cadence_of


def recorded(every: float | str, steps: int, cost: float = 0.0) -> list[int]:
    """Of steps of a second each, where a record takes ``cost`` more, and what is no record a little too."""
    cadence, now, spent, found = cadence_of(every), 0.0, 0.0, []
    for step in range(steps):
        if cadence.wants(step, now, spent):
            found.append(step)
            spent += cost
            now += cost
        spent += 1e-5
        now += 1.0
    return found


def test_a_number_is_of_steps() -> None:
    assert recorded(30, 100) == [0, 30, 60, 90]


def test_seconds_are_kept_behind_the_lead() -> None:
    assert recorded("9.5s", 100) == [*range(LEAD), 60, 70, 80, 90]


@pytest.mark.parametrize(("every", "cost"), [("2%", 1.0), ("10%", 5.0), ("2 %", 0.04), ("1%", 0.001)])
def test_a_share_of_the_time_is_kept_and_used_up(every: str, cost: float) -> None:
    steps = 20_000
    behind = [step for step in recorded(every, steps, cost) if step >= LEAD]
    share = len(behind) * cost / (steps - LEAD + len(behind) * cost)
    allowed = float(every.rstrip(" %")) / 100.0
    assert share <= allowed
    assert share > 0.95 * allowed or len(behind) == steps - LEAD


@pytest.mark.parametrize("every", [0, -1, 2.5, "2", "fast", "-1%"])
def test_anything_else_is_refused(every: float | str) -> None:
    with pytest.raises(ValueError, match="neither a number of steps"):
        cadence_of(every)
