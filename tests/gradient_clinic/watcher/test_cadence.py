"""Which steps are recorded."""

from dataclasses import dataclass

import pytest

from gradient_clinic.verdict.measurements import SETTLED
from gradient_clinic.watcher.cadence import LEAD, SEEN, Cadence, Company, Even, Share, cadence_of


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
    """Less what a watch does not see of its cost."""
    steps = 20_000
    behind = [step for step in recorded(every, steps, cost) if step >= LEAD]
    share = len(behind) * cost / (steps - LEAD + len(behind) * cost)
    allowed = SEEN * float(every.rstrip(" %")) / 100.0
    assert share <= allowed
    assert share > 0.95 * allowed or len(behind) == steps - LEAD


@dataclass
class Stepping:
    """A watch that steps in each ``each``-th round, until ``until``, and whose record takes ``cost``."""

    cost: float
    each: int = 1
    until: int = 10**9

    def __post_init__(self) -> None:
        self.cadence: Cadence = Share(0.02)
        self.recorded, self.steps, self.spent = list[int](), 0, 0.0


def share_of(stepping: list[Stepping], first: int, rounds: int) -> float:
    """Of all the time of the rounds from ``first`` on what recording took, where each step of one takes a second."""
    now, spent_at_first, began = 0.0, 0.0, 0.0
    for number in range(rounds):
        if number == first:
            spent_at_first, began = sum(its.spent for its in stepping), now
        for its in stepping:
            if number % its.each or number >= its.until:
                continue
            if its.cadence.wants(its.steps, now, its.spent):
                its.recorded.append(number)
                its.spent, now = its.spent + its.cost, now + its.cost
            its.steps, now = its.steps + 1, now + 1.0
    return (sum(its.spent for its in stepping) - spent_at_first) / (now - began)


@pytest.mark.parametrize("costs", [(0.2, 0.2), (0.05, 3.0), (0.1, 0.2, 0.4)])
def test_the_watches_of_a_process_share_its_budget(costs: tuple[float, ...]) -> None:
    stepping = [Stepping(cost) for cost in costs]
    taken = share_of(stepping, LEAD, 20_000)
    assert 0.95 * 0.02 < taken <= 0.0201
    spent = [len([at for at in its.recorded if at >= LEAD]) * its.cost for its in stepping]
    assert max(spent) < 1.1 * min(spent)


def test_one_that_steps_seldom_has_its_part_and_one_that_has_ended_has_none() -> None:
    critic, generator = Stepping(0.2), Stepping(0.2, each=5)
    assert 0.95 * 0.02 < share_of([critic, generator], 5 * LEAD, 20_000) <= 0.0201
    assert len(generator.recorded) > 0.9 * len(critic.recorded)
    lasting, ended = Stepping(0.2), Stepping(0.2, until=1_000)
    assert 0.95 * 0.02 < share_of([lasting, ended], 1_000, 20_000) <= 0.0201


def test_even_distances_are_chosen_by_the_part_of_the_time_that_a_watch_has() -> None:
    """Alone a record of 0.25 is worth 12.5 steps of a second; two watches make one in as many rounds of two seconds."""
    for together in (1, 2):
        company, stepping = Company(), [Stepping(0.25) for _ in range(together)]
        for its in stepping:
            its.cadence = Even(Share(0.02), company=company)
        assert 0.018 < share_of(stepping, LEAD, 5_000) <= 0.02
        assert [its.recorded[LEAD] - its.recorded[LEAD - 1] for its in stepping] == [2] * together
        assert [its.recorded[-1] - its.recorded[-2] for its in stepping] == [13] * together


def test_without_a_loss_there_is_no_early_reading_and_the_lead_ends_with_the_settled_steps() -> None:
    for every in ("2%", "1000s"):
        cadence = cadence_of(every)
        found = [step for step in range(100) if cadence.wants(step, float(step), 10.0 * step, told=False)]
        assert found == list(range(SETTLED[1] + 1))


@pytest.mark.parametrize("every", [0, -1, 2.5, "2", "fast", "-1%"])
def test_anything_else_is_refused(every: float | str) -> None:
    with pytest.raises(ValueError, match="neither a number of steps"):
        cadence_of(every)
