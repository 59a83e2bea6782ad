"""What training minimises: the loss by name, and how labels and classes count in it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from models.specs.base import Problem
from models.specs.bounds import MOST_CLASSES
from models.specs.facts import Facts, Target

Loss = Literal["cross_entropy", "mse", "mae", "huber", "binary_cross_entropy"]
Metric = Literal["accuracy", "balanced_accuracy", "r2"]
"""Of the test and validation parts: the share of right labels; its mean over the classes that occur there; R²."""
ClassWeight = Annotated[float, Field(gt=0, le=1e6)]
ClassWeights = Literal["balanced"] | Annotated[tuple[ClassWeight, ...], Field(min_length=2, max_length=MOST_CLASSES)]
"""A weight for each class, or n/(classes·n_c), which makes all classes weigh the same in the training cases."""
LOSSES_OF: dict[Target, tuple[Loss, ...]] = {
    "class": ("cross_entropy", "mse", "binary_cross_entropy"),
    "value": ("mse", "mae", "huber"),
    "class_per_step": ("cross_entropy",),
}
METRICS_OF: dict[Target, tuple[Metric, ...]] = {
    "class": ("accuracy", "balanced_accuracy"),
    "value": ("r2",),
    "class_per_step": ("accuracy", "balanced_accuracy"),
}
"""Both by the target of the data, the usual one first."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The data loss of a run. ``label_smoothing``: the share of a label that is spread over all classes."""

    loss: Loss
    class_weights: ClassWeights | None = None
    label_smoothing: float = 0.0


def usual_loss(facts: Facts) -> Loss:
    return LOSSES_OF[facts.target][0]


def usual_metric(facts: Facts) -> Metric:
    return METRICS_OF[facts.target][0]


def metric_problem(facts: Facts, metric: Metric) -> Problem | None:
    """Why runs on these data cannot be measured so; None where they can."""
    if metric in METRICS_OF[facts.target]:
        return None
    message = f"the data set's target is a {facts.target.replace('_', ' ')}"
    return Problem("metric", metric, message, f"left out, or {' or '.join(METRICS_OF[facts.target])}")


def objective_problem(facts: Facts, asked: Objective) -> Problem | None:
    """Why this cannot be minimised on these data; None where it can."""
    weights = asked.class_weights
    if asked.loss not in LOSSES_OF[facts.target]:
        message = f"the data set's target is a {facts.target.replace('_', ' ')}"
        return Problem("loss", asked.loss, message, f"left out, or {' or '.join(LOSSES_OF[facts.target])}")
    if asked.loss != "cross_entropy" and (weights is not None or asked.label_smoothing > 0.0):
        name = "label_smoothing" if weights is None else "class_weights"
        return Problem(name, getattr(asked, name), f"it is for cross_entropy, and the loss is {asked.loss}", "left out")
    if isinstance(weights, tuple) and len(weights) != facts.classes:
        message = f"there are {len(weights)} weights, and {facts.classes} classes"
        return Problem("class_weights", list(weights), message, f"balanced, or {facts.classes} weights")
    return None
