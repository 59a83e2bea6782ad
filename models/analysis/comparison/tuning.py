"""Each variant at its own best learning rate: the choice, from runs on seeds that the trial does not use.

A remedy that needs another rate than the baseline's is otherwise judged by the rate, not by itself (Bouthillier et al.
2021: equal tuning for all, chosen on validation data, reported on test data).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from gradient_clinic.intervals import Estimate, t_interval
from models.analysis.statistics.methods import Method
from models.analysis.statistics.numbers import Number


@dataclass(frozen=True, slots=True)
class Tried:
    """One run of tuning that has ended. ``validation_loss``: None where it could not be done."""

    learning_rate: float
    validation_loss: float | None
    diverged: bool
    device_seconds: float

    @property
    def good(self) -> bool:
        return self.validation_loss is not None and math.isfinite(self.validation_loss) and not self.diverged


class TriedRate(BaseModel):
    """One learning rate over the seeds of tuning. ``validation_loss`` is over the runs that did not diverge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float
    validation_loss: Estimate
    runs: int
    diverged: int


class Tuning(BaseModel):
    """What tuning found for one variant. ``at_edge``: the best rate is the smallest or the largest that was tried, so a
    better one may lie beyond.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tried: tuple[TriedRate, ...]
    at_edge: bool
    device_seconds: Number


def choose(tried: Sequence[Tried]) -> float | None:
    """The rate with the fewest runs lost or diverged, among those the best mean validation loss, then the smaller one.

    None where no run of any rate ended well.
    """
    rates = sorted({run.learning_rate for run in tried})
    # ``min`` keeps the first of equals, and rates ascend: that is the smaller one.
    best = min(rates, key=lambda rate: _rank([run for run in tried if run.learning_rate == rate]), default=None)
    return best if any(run.good and run.learning_rate == best for run in tried) else None


def _rank(tried: Sequence[Tried]) -> tuple[int, float]:
    losses = [run.validation_loss for run in tried if run.good and run.validation_loss is not None]
    return len(tried) - len(losses), sum(losses) / len(losses) if losses else math.inf


def tuning_of(tried: Sequence[Tried], chosen: float | None) -> Tuning:
    """The table behind a choice. The runs of one variant; some may still be missing."""
    rates = sorted({run.learning_rate for run in tried})
    return Tuning(
        tried=tuple(_tried_rate(rate, [run for run in tried if run.learning_rate == rate]) for rate in rates),
        at_edge=chosen is not None and len(rates) > 1 and chosen in {rates[0], rates[-1]},
        device_seconds=sum(run.device_seconds for run in tried),
    )


def _tried_rate(rate: float, tried: Sequence[Tried]) -> TriedRate:
    losses = [run.validation_loss for run in tried if run.good and run.validation_loss is not None]
    return TriedRate(
        learning_rate=rate,
        validation_loss=t_interval(losses).estimate(Method.T),
        runs=len(tried),
        diverged=sum(run.diverged for run in tried),
    )
