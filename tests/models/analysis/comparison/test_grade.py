"""How far runs came, and what that makes of a variant: by hand, beside scipy, and over remedies of no effect."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gradient_clinic.intervals import Estimate, t_interval
from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.comparison.arms import Arm
from models.analysis.comparison.from_chance import closed_by_loss, closed_by_metric, progress_of
from models.analysis.comparison.grade import MATERIAL, grade_of_runs
from models.analysis.comparison.parts import Grade, Measure, Progress
from models.analysis.statistics.effects import holm, paired_success_difference
from tests.models.analysis.compared import MODEL, VARIANTS, run


def with_loss(loss: float, chance: float = 2.0, **facts: Any) -> RunSummary:
    return replace(run(trained="partly", chance_level=chance, **facts), final_loss=loss)


def arm(runs: Sequence[RunSummary]) -> Arm:
    return Arm("e", VARIANTS[1], {"succeeded": len(runs)}, dict(enumerate(runs)), None, ())


@pytest.mark.parametrize(("low", "certainty"), [(0.001, "shown"), (0.0, "promising"), (-0.001, "promising")])
def test_what_an_interval_with_0_in_it_says_is_not_shown(low: float, certainty: str) -> None:
    """Of 20 seeds, whose interval is a bootstrap's and whose test is Student's."""
    further = Estimate(mean=0.2, low=low, high=0.4, n=20, method="BCa")
    moved = Progress(difference=further, p=0.001, p_holm=0.001, smallest_shown=0.1)
    still = replace(further, mean=0.0, low=-0.1, high=0.1)
    unmoved = Progress(difference=still, p=1.0, p_holm=1.0, smallest_shown=0.1)
    found = grade_of_runs([False] * 20, [False] * 20, still, {"metric": unmoved, "loss": moved})
    assert (found.degree, found.certainty, found.by) == ("improves", certainty, "loss")


@pytest.mark.parametrize(
    ("loss", "closed"), [(2.0, 0.0), (1.0, 0.5), (0.5, 0.75), (0.0, 1.0), (5.0, 0.0), (math.inf, 0.0), (math.nan, 0.0)]
)
def test_the_way_is_from_chance_to_zero_loss(loss: float, closed: float) -> None:
    assert closed_by_loss(with_loss(loss)) == closed


def test_a_run_that_broke_has_closed_nothing_and_an_untrained_one_is_not_measured() -> None:
    assert closed_by_loss(with_loss(0.1, outcome="diverged")) == 0.0
    assert closed_by_metric(with_loss(0.1, outcome="diverged", test_metric=0.9)) == 0.0
    assert math.isnan(closed_by_loss(replace(MODEL, trained=None, final_loss=None)))
    assert math.isnan(closed_by_metric(with_loss(0.1, test_metric=math.nan)))


def test_always_saying_the_commonest_label_closes_nothing_by_metric() -> None:
    assert closed_by_metric(with_loss(1.0, test_metric=0.88, majority_share=0.88)) == 0.0
    assert closed_by_metric(with_loss(1.0, test_metric=0.94, majority_share=0.88)) == pytest.approx(0.5)
    assert closed_by_metric(with_loss(1.0, test_metric=-3.0)) == 0.0  # R² below 0


def test_the_tests_are_those_of_scipy_and_adjusted_over_the_variants() -> None:
    rng = np.random.default_rng(5)
    before, near, far = rng.uniform(0.8, 1.2, 6), rng.uniform(0.7, 1.2, 6), rng.uniform(0.2, 0.4, 6)
    arms = [arm([with_loss(loss) for loss in losses]) for losses in (near, far)]
    found = progress_of(dict(enumerate(with_loss(loss) for loss in before)), arms)
    expected = [stats.ttest_rel(-losses / 2, -before / 2).pvalue for losses in (near, far)]
    for its, p, adjusted, losses in zip(found, expected, holm(expected), (near, far), strict=True):
        assert its["loss"].p == pytest.approx(p)
        assert its["loss"].p_holm == pytest.approx(adjusted)
        assert its["loss"].difference.mean == pytest.approx((before - losses).mean() / 2)


def test_the_smallest_difference_shown_lies_at_the_level_of_its_test() -> None:
    rng = np.random.default_rng(6)
    before, after = rng.uniform(0.8, 1.2, 5), rng.uniform(0.7, 1.2, 5)
    (its,) = progress_of(
        dict(enumerate(with_loss(loss) for loss in before)), [arm([with_loss(loss) for loss in after])]
    )
    smallest = its["loss"].smallest_shown
    assert smallest is not None
    differences = (before - after) / 2
    assert stats.ttest_1samp(differences - differences.mean() + smallest, 0.0).pvalue == pytest.approx(0.05)


def grade(ours: Sequence[bool], theirs: Sequence[bool], metric: Sequence[float], loss: Sequence[float]) -> Grade:
    """Of paired differences in progress, each alone in its family."""
    tests = [stats.ttest_1samp(values, 0.0).pvalue for values in (metric, loss)]
    measured = [
        Progress(difference=t_interval(values).estimate("t"), p=p, p_holm=p, smallest_shown=None)
        for values, p in zip((metric, loss), tests, strict=True)
    ]
    successes = paired_success_difference(ours, theirs).estimate("newcombe")
    return grade_of_runs(ours, theirs, successes, {"metric": measured[0], "loss": measured[1]})


NO, YES = [False] * 5, [True] * 5
FLAT, UP = [0.01, -0.01, 0.02, -0.02, 0.0], [0.3, 0.31, 0.29, 0.32, 0.28]
DOWN = [-value for value in UP]


@pytest.mark.parametrize(
    ("ours", "theirs", "metric", "loss", "degree", "certainty", "by"),
    [
        (YES, NO, UP, UP, "repairs", "shown", "success"),
        (NO, YES, DOWN, DOWN, "harms", "shown", "success"),
        (NO, NO, FLAT, UP, "improves", "shown", "loss"),
        (NO, NO, UP, DOWN, "improves", "shown", "metric"),
        (NO, NO, FLAT, DOWN, "harms", "shown", "loss"),
        (YES, YES, FLAT, UP, "no_difference_shown", None, None),
        (YES, YES, UP, FLAT, "improves", "shown", "metric"),
        (NO, NO, FLAT, [value / 10 for value in UP], "no_difference_shown", None, None),
        (YES[:3], [True, False, False], FLAT[:3], FLAT[:3], "repairs", "promising", "success"),
        (NO[:3], NO[:3], UP[:3], UP[:3], "improves", "promising", "metric"),
        (NO[:3], NO[:3], FLAT[:3], FLAT[:3], "no_difference_shown", None, None),
    ],
)
def test_a_grade_is_the_first_that_successes_metric_or_loss_show(
    ours: list[bool],
    theirs: list[bool],
    metric: list[float],
    loss: list[float],
    degree: str,
    certainty: str | None,
    by: str | None,
) -> None:
    its = grade(ours, theirs, metric, loss)
    assert (its.degree, its.certainty, its.by) == (degree, certainty, by)


def test_a_variant_that_alone_leaves_chance_in_every_seed_is_promising() -> None:
    """Each run is told from chance by its own batches, so that two of them say more than their spread."""
    none = Progress(difference=t_interval([0.1, 0.4]).estimate("t"), p=0.3, p_holm=0.3, smallest_shown=None)
    successes = paired_success_difference(NO[:2], NO[:2]).estimate("newcombe")
    both: dict[Measure, Progress] = {"metric": none, "loss": none}
    grades = [grade_of_runs(NO[:2], NO[:2], successes, both, off) for off in ([1, 1], [-1, -1], [1, 0], [1])]
    assert [its.degree for its in grades] == ["improves", "harms", "no_difference_shown", "no_difference_shown"]
    assert (grades[0].certainty, grades[0].by) == ("promising", "loss")


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "certainty", "most"), [(5, "shown", 0.05), (3, "promising", 0.20)])
def test_remedies_that_do_nothing_are_seldom_praised(seeds: int, certainty: str, most: float) -> None:
    """Normal differences of mean 0 that are far larger than what is material; 2,000 trials, three sigma of margin."""
    rng, trials = np.random.default_rng(seeds), 2_000
    idle = [False] * seeds
    drawn = rng.normal(0.0, 10 * max(MATERIAL.values()), (trials, 2, seeds))
    grades = [grade(idle, idle, metric, loss) for metric, loss in drawn]
    praised = sum(its.degree == "improves" and its.certainty == certainty for its in grades) / trials
    assert praised <= most / 2 + 3 * math.sqrt(most / 2 / trials)
