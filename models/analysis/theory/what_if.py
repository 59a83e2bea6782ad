"""This run's network with one remedy more: what theory says of it. Nothing is trained for it."""

from typing import Final

from gradient_clinic.gains.limits import LIMIT
from models.analysis.theory.propagation import worst_gain
from models.plan import Plan, plan_with
from models.specs.base import SpecError
from models.specs.remedy import RemedySpec

WORTH: Final = 0.5
"""A remedy that leaves G beyond ±3 is named where it takes at least half of it away."""


def is_worth(gain: float, now: float) -> bool:
    """Whether a change that puts G at ``gain`` leaves it inside ±3, or takes half of ``now`` away."""
    return abs(gain) <= max(WORTH * abs(now), LIMIT)


def gain_with(plan: Plan, remedy: RemedySpec) -> float | None:
    """Theory's G of this run's network with one remedy more, which has the last word on what it sets; None where it
    cannot be.
    """
    try:
        treated = plan_with(plan, remedy)
    except SpecError:
        return None
    return worst_gain(treated.network, plan.experiment.batch_size)
