"""What became of a variant's runs: how many train, how well, and whether one mean can say it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gradient_clinic.intervals import Estimate
from models.analysis.comparison.arms import Runs
from models.analysis.comparison.from_chance import CLOSED, closed_over_seeds
from models.analysis.comparison.parts import Outcomes, Success
from models.analysis.statistics.effects import clopper_pearson
from models.analysis.statistics.modes import two_groups
from models.analysis.statistics.over_seeds import over_seeds

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "accuracy": (0.0, 1.0),
    "balanced_accuracy": (0.0, 1.0),
    "r2": (-math.inf, 1.0),
}
"""Where each metric, and so its mean, can lie."""


def outcomes_of(runs: Runs, metric: str) -> Outcomes:
    judged = [run for run in runs.values() if run.trained is not None]
    successes = [run for run in judged if run.success]
    bounds = clopper_pearson(len(successes), len(judged))
    low, high = bounds if bounds is not None else (None, None)
    reached = [run.facts.test_metric for run in judged]
    return Outcomes(
        success=Success(count=len(successes), of=len(judged), low=low, high=high),
        metric=_within(over_seeds([run.facts.test_metric for run in successes]), RANGES[metric]),
        loss=over_seeds([run.final_loss for run in successes if run.final_loss is not None]),
        metric_of_all=_within(over_seeds([value for value in reached if math.isfinite(value)]), RANGES[metric]),
        modes=two_groups(reached),
        closed={measure: closed_over_seeds(runs, measure) for measure in CLOSED},
        majority_share=_mean([share for run in judged if (share := run.facts.majority_share) is not None]),
        neighbour_accuracy=_mean([share for run in judged if (share := run.facts.neighbour_accuracy) is not None]),
        chance_loss=_mean([chance for run in judged if math.isfinite(chance := run.facts.chance_level)]),
    )


def _mean(shares: Sequence[float]) -> float | None:
    return math.fsum(shares) / len(shares) if shares else None


def _within(estimate: Estimate, limits: tuple[float, float]) -> Estimate:
    """Of the interval what is possible: Student's, of few seeds, reaches beyond 1. It covers as often as before."""
    least, most = limits
    cut = {
        name: min(max(bound, least), most) for name in ("low", "high") if (bound := getattr(estimate, name)) is not None
    }
    return replace(estimate, **cut)
