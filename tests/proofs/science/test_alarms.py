"""The table of alarms: what counts as what, and that choosing and reporting are kept apart."""

from typing import Any

import pytest

from proofs.science.alarms import HELD_OUT, MOMENTS, OURS, Judged, figures_of, promises, rates
from proofs.science.cases import DRAWN, HELD_OUT_ONCE, advised, cases
from proofs.science.cases.case import Part
from proofs.science.cases.random import architecture
from proofs.science.pages.alarms import EARLIER
from proofs.science.running import plan_of


def run(truth: str, answer: str, *, part: Part = "unseen", case: str = "a") -> Judged:
    failed = {"failed": True, "healthy": False, "between": None}[truth]
    answers = {OURS: (answer,) * len(MOMENTS)}
    return Judged(case, "cnn", part, 0, failed, answers, (answer,) * len(MOMENTS))


def test_an_abstention_on_a_failed_run_is_a_miss_and_on_a_healthy_one_no_alarm() -> None:
    judged = [
        run("failed", "alarm"),
        run("failed", "abstained"),
        run("healthy", "abstained"),
        run("healthy", "healthy"),
    ]
    found = rates(judged, OURS, 2)
    assert found["recall"] == 0.5
    assert found["abstained_on_failed"] == 0.5
    assert found["false_alarms"] == 0.0
    assert found["abstained_on_healthy"] == 0.5
    assert found["false_alarms_bounds"][1] == pytest.approx(0.8419, abs=1e-4)


def test_runs_in_between_count_nowhere() -> None:
    found = rates([run("between", "alarm"), run("healthy", "healthy"), run("failed", "alarm")], OURS, 0)
    assert (found["recall"], found["false_alarms"]) == (1.0, 0.0)


def test_a_table_without_failures_says_so_and_does_not_break() -> None:
    assert rates([run("healthy", "healthy")], OURS, 0)["recall"] is None


def test_what_is_held_out_is_never_what_was_chosen_on() -> None:
    chosen, others = (
        [run("failed", "alarm", part="grid")],
        [run("failed", "healthy"), run("healthy", "healthy")],
    )
    parts = figures_of([*chosen, *others])["parts"]
    assert parts[HELD_OUT]["runs"] == 2
    assert parts[HELD_OUT]["rules"][OURS][MOMENTS[2]]["recall"] == 0.0
    assert parts["chosen on: the grid"]["rules"][OURS][MOMENTS[2]]["recall"] == 1.0


def test_mistakes_are_named_by_case() -> None:
    figures = figures_of(
        [run("failed", "healthy", case="missed"), run("healthy", "alarm", case="false"), run("failed", "alarm")]
    )
    assert figures["missed"][MOMENTS[2]] == {"missed": 1}
    assert figures["false_alarms"][MOMENTS[2]] == {"false": 1}


def test_promises_are_of_the_held_out_part_at_step_50() -> None:
    good = [run("failed", "alarm"), run("healthy", "healthy")]
    assert all(line.held for line in promises(figures_of(good)))
    bad: list[Any] = [run("failed", "abstained"), run("healthy", "alarm")]
    assert [line.held for line in promises(figures_of(bad))] == [False, False, True]


def test_the_grid_is_the_published_one_and_every_case_can_be_planned() -> None:
    every = cases()
    assert sum(case.part == "grid" for case in every) == 216
    assert len({case.name for case in every}) == len(every)
    for case in every:
        plan = plan_of(case)
        assert plan.steps > 50
        if case.part == "grid":
            assert plan.network.hidden[0].units == 128
            assert plan.layers[-1].init.kind == "torch_default"


def test_no_architecture_is_both_chosen_on_and_held_out() -> None:
    held_out, chosen_on = (
        {architecture(case.body["network"]) for case in cases() if case.held_out is held} for held in (True, False)
    )
    assert len(held_out) > 50
    assert not held_out & chosen_on


def test_what_was_held_out_once_is_as_much_as_the_page_says() -> None:
    counts = {version: sum(len(list(cases_of())) for cases_of in lists) for version, lists in HELD_OUT_ONCE.items()}
    words = {version: held_out for version, held_out, *_ in EARLIER}
    assert words["early-1"].endswith(f"and {counts['early-1']} configurations beside it")
    assert all(words[version] == f"{counts[version]} configurations" for version in ("early-2", "early-3"))


def test_the_draw_is_the_same_every_time() -> None:
    assert [case.name for case in cases()] == [case.name for case in cases()]


def test_networks_that_advice_is_judged_on_were_in_no_list_before() -> None:
    draws = advised()
    names = {part: {case.name for case in draw} for part, draw in draws.items()}
    known = {case.name for case in cases()}
    assert {part: len(its) for part, its in names.items()} == {"beside": DRAWN, "unseen": DRAWN}
    assert not names["unseen"] & (names["beside"] | known)
    assert not names["beside"] & known
    assert all(plan_of(case).steps == 250 for draw in draws.values() for case in draw)
