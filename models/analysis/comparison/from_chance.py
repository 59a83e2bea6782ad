"""How much of the way from chance to the best possible each run closed, and a variant's beside the baseline's.

Success is a cliff: a run that closed .49 of the way and one at chance both miss it. Progress tells them apart. By loss
it is 1 − loss/chance of the training data; by metric (metric − floor)/(1 − floor) of the test part, where the floor is
what always saying the commonest label reaches, or R² = 0. Both lie in 0 to 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from gradient_clinic.intervals import Estimate, t_interval
from gradient_clinic.verdict.facts.of_losses import OF_FIRST
from gradient_clinic.verdict.shapes import RunSummary
from gradient_clinic.verdict.wording import number
from models.analysis.comparison.arms import Arm, Runs
from models.analysis.comparison.parts import Measure, Progress, VariantComparison
from models.analysis.statistics.effects import has_spread, holm
from models.analysis.statistics.over_seeds import over_seeds, paired_over_seeds, paired_test
from models.analysis.statistics.power import ALPHA

FIRST_FOR_CHANCE: Final = frozenset(fact.name for fact in OF_FIRST)
METRICS: Final = {"accuracy": "by the commonest label alone an accuracy", "R²": "an R²"}


def closed_by_loss(run: RunSummary) -> float:
    """0 for a run that ended non-finite or above chance; NaN where nothing was trained or chance is no loss."""
    chance, loss = run.facts.chance_level, run.final_loss
    if run.trained is None or not chance > 0.0:
        return math.nan
    return 0.0 if run.diverged or loss is None else _within(1.0 - loss / chance)


def closed_by_metric(run: RunSummary) -> float:
    """NaN where nothing was trained or held out, and where the commonest label is the only one."""
    metric, floor = run.facts.test_metric, run.facts.majority_share or 0.0
    held_out = run.facts.test_cases > 0 or math.isfinite(metric)
    if run.trained is None or not held_out or floor >= 1.0:
        return math.nan
    return 0.0 if run.diverged else _within((metric - floor) / (1.0 - floor))


def chance_words(part: VariantComparison, metric: str) -> str:
    """``metric`` in words: 'chance is a loss of 2.3 and by the commonest label alone an accuracy of 0.11'; empty
    where it is not known.
    """
    outcomes, evidence = part.outcomes, () if part.verdict is None else part.verdict.evidence
    if outcomes.chance_loss is None:
        return ""
    loss = number(outcomes.chance_loss)
    if {item.statistic for item in evidence} & FIRST_FOR_CHANCE:
        return f"the first loss that was logged, {loss}, stands for chance"
    reached = {"accuracy": outcomes.majority_share, "R²": 0.0}.get(metric)
    return f"chance is a loss of {loss}{'' if reached is None else f' and {METRICS[metric]} of {number(reached)}'}"


CLOSED: Final[Mapping[Measure, Callable[[RunSummary], float]]] = {"metric": closed_by_metric, "loss": closed_by_loss}


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0


def closed_over_seeds(runs: Runs, measure: Measure) -> Estimate:
    """Over all runs that were trained, successes or not."""
    return over_seeds([CLOSED[measure](run) for run in runs.values()])


def progress_of(baseline: Runs, arms: Sequence[Arm]) -> list[dict[Measure, Progress]]:
    """Of every variant by either measure; the tests of one measure are adjusted for each other (Holm 1979)."""
    by_measure = {measure: _of_one_measure(baseline, arms, measure) for measure in CLOSED}
    return [{measure: found[index] for measure, found in by_measure.items()} for index in range(len(arms))]


def _of_one_measure(baseline: Runs, arms: Sequence[Arm], measure: Measure) -> list[Progress]:
    differences = [_differences(arm.ended, baseline, measure) for arm in arms]
    # Each measure is a family of its own: a reader asks one question by it, of all variants.
    tests = [paired_test(values)[1] for values in differences]
    family = sum(p is not None for p in tests)
    return [
        Progress(
            difference=paired_over_seeds(values),
            p=p,
            p_holm=adjusted,
            smallest_shown=_smallest_shown(values, max(family, 1)),
        )
        for values, p, adjusted in zip(differences, tests, holm(tests), strict=True)
    ]


def _differences(runs: Runs, baseline: Runs, measure: Measure) -> list[float]:
    closed = CLOSED[measure]
    pairs = [closed(run) - closed(baseline[seed]) for seed, run in runs.items() if seed in baseline]
    return [difference for difference in pairs if not math.isnan(difference)]


def _smallest_shown(differences: Sequence[float], family: int) -> float | None:
    """The mean difference that a paired t-test would have called shown, at this spread and at Holm's first level."""
    values = np.asarray(differences, dtype=np.float64)
    if not has_spread(values):
        return None
    interval = t_interval(values, 1.0 - ALPHA / family)
    return (interval.high - interval.low) / 2.0
