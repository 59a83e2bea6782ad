"""What a log without layers shows beside its final loss: the whole course of it, and its learning rate.

Nothing here names a layer, and nothing that only layers show is told: which gradients there were is not known.
"""

from collections.abc import Callable
from typing import Final

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import LEAST_RATE, Fact, Reading, below
from gradient_clinic.verdict.shapes import Evidence
from gradient_clinic.verdict.wording import number, steps_words

STILL: Final = 1e-6
"""Of the loss: values that differ by less are one value, printed with six digits."""


def _said(text: str) -> Callable[[Evidence], str]:
    return lambda item: text.format(value=number(item.value, 4))


# --- the whole course -----------------------------------------------------------------------------------------------


def _never_moved(case: Case) -> Reading | None:
    log = case.measured.facts.log
    if log is None or log.records < 2:
        return None
    spread, limit = log.highest_loss - log.lowest_loss, STILL * abs(log.highest_loss)
    return below(spread, limit, steps=(0, case.measured.last_step)) if spread <= limit else None


NEVER_MOVED: Final = Fact(
    "loss", "spread_of_loss", _never_moved, _said("the loss never moved: its values differ by {value} at most")
)


def _below_zero(case: Case) -> Reading | None:
    log = case.measured.facts.log
    if log is None or not log.lowest_loss < 0.0:
        return None
    return below(log.lowest_loss, 0.0, steps=(0, case.measured.last_step))


def _alone(case: Case) -> Reading | None:
    log = case.measured.facts.log
    if log is None or case.measured.trained is not None or log.lowest_loss < 0.0:
        return None
    return below(float(log.records), 2.0, steps=(0, case.measured.last_step))


BELOW_ZERO: Final = Fact(
    "loss",
    "lowest_loss",
    _below_zero,
    _said("the loss falls to {value}: zero is not its least, and half means nothing"),
)
ALONE: Final = Fact(
    "loss", "values_logged", _alone, _said("a loss that is logged once has nothing to be compared with")
)


def _nonfinite(where: str) -> Callable[[Case], Reading | None]:
    def number_of(case: Case) -> Reading | None:
        place = case.measured.first_nonfinite
        if place is None or place.where != where:
            return None
        return Reading(None, 0.0, None, (), (place.step, place.step))

    return number_of


def _nonfinite_words(what: str) -> Callable[[Evidence], str]:
    return lambda item: f"{what} was first not finite at {steps_words(item.steps)}"


NONFINITE_LOSS: Final = Fact("loss", "first_nonfinite", _nonfinite("forward"), _nonfinite_words("the loss"))
NONFINITE_NORM: Final = Fact(
    "total_gradient_norm",
    "first_nonfinite",
    _nonfinite("backward"),
    _nonfinite_words("the overall gradient norm"),
)


# --- the learning rate ----------------------------------------------------------------------------------------------


def _rate(case: Case) -> Reading | None:
    log = case.measured.facts.log
    if log is None or log.highest_rate is None or log.last_rate is None:
        return None
    return below(log.last_rate, log.highest_rate, steps=(0, case.measured.last_step))


def _rate_words(item: Evidence) -> str:
    if item.value == item.threshold:
        return f"the learning rate ends at its highest, {number(item.value)}"
    return f"the learning rate ends at {number(item.value)}, and is {number(item.threshold)} at its highest"


def _rate_left(case: Case) -> Reading | None:
    """Beside the highest that was logged, as nobody has told which one was asked for."""
    log = case.measured.facts.log
    left = None if log is None else log.rate_left
    return below(left, LEAST_RATE) if left is not None and left < LEAST_RATE else None


def _rate_left_words(item: Evidence) -> str:
    return f"the schedule leaves {number(item.value, 2)} of the highest learning rate, as a mean over all steps"


RATE: Final = Fact("learning_rate", "last_beside_highest", _rate, _rate_words)
RATE_LEFT: Final = Fact("learning_rate", "mean_rate_left", _rate_left, _rate_left_words)


IN_ALL: Final = (NONFINITE_LOSS, NONFINITE_NORM, NEVER_MOVED, BELOW_ZERO, ALONE)
OF_RATE: Final = (RATE, RATE_LEFT)
