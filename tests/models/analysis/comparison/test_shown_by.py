"""Which difference a variant is shown by is decided once: a case of every grade, and what the answer tells of each."""

import re

import pytest

from models.analysis.comparison.parts import VersusBaseline
from tests.models.analysis.shown_cases import CASES, Case


def versus_of(case: Case) -> VersusBaseline:
    versus = case.compared().variants[1].versus_baseline
    assert versus is not None
    return versus


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_variant_is_shown_by_what_its_grade_rests_on(case: Case) -> None:
    versus = versus_of(case)
    assert (None if versus.grade is None else versus.grade.degree) == case.degree
    assert versus.shown_by == case.shown_by


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_tells_what_a_variant_is_shown_by(case: Case) -> None:
    answer = case.compared().answer
    assert re.search(case.told, answer), answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_it_is_shown_by_has_a_figure(case: Case) -> None:
    shown = versus_of(case).shown_difference
    assert (shown is None) == (case.shown_by in {"gradients", None})
    assert shown is None or shown.mean is not None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_that_was_stored_without_it_is_shown_by_the_same(case: Case) -> None:
    versus = versus_of(case)
    stored = versus.model_dump(mode="json", exclude={"shown_by"})
    assert VersusBaseline.model_validate(stored) == versus


def test_of_the_first_versions_answers_the_one_to_read_first_is_shown() -> None:
    """They had no grade and no progress."""
    first = versus_of(CASES[0]).model_dump(mode="json", exclude={"shown_by", "grade", "progress"})
    assert VersusBaseline.model_validate(first).shown_by == "success_difference"
    unknown = versus_of(next(case for case in CASES if case.shown_by == "loss_progress" and case.facts))
    bare = unknown.model_dump(mode="json", exclude={"shown_by", "grade", "progress"})
    assert VersusBaseline.model_validate(bare).shown_by == "metric_difference"
