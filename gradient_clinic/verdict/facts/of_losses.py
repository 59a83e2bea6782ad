"""What the loss, and beside it the accuracy, say of training."""

import math
from collections.abc import Callable
from typing import Final

from scipy import special

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import START, Fact, Reading, above, below
from gradient_clinic.verdict.measurements import NORMAL_QUANTILE
from gradient_clinic.verdict.shapes import Evidence, Measured, Trained
from gradient_clinic.verdict.wording import DIGITS, number

FALSE_ALARM: Final = 0.05
"""Of the one-sided test that an accuracy is above that of always saying the commonest label."""
UNBALANCED: Final = 0.6
"""Share of the commonest label from which its being all that a network says, or what it says best, is told as a matter
of the data. Of two labels as common one always has a case more than half, which says nothing."""
LEAST_BALANCED: Final = 0.9
"""Of a balanced accuracy on training cases: what is called healthy of an accuracy where labels are even. On digits with
up to 99.5 % of the other labels' cases given to one, twelve ReLU layers end at 0.13 to 0.86 with a loss of 0.11 to 0.36
of chance; with 70 % given, and as many of each label, at 0.98."""

ONE_LABEL_ALONE: Final = 0.55
"""Of a balanced accuracy: little above the half that one of two labels has, said always."""


LARGE_FIRST_LOSS: Final = 20.0
"""Loss of the untrained network over chance. ReLU networks of 2 and 3 layers on digits with weights that are too large,
250 steps of Adam at 0.001 and of SGD at 0.01 and 0.05: all that start at up to 13 times chance learn; of the nine that
start at 26 times and more three do, and all with weights that fit."""


# --- the final loss, against the side of the ``trained`` rule that decided ------------------------------------------


def _final(measured: Measured) -> tuple[float, float]:
    """(mean over the end window, its noise); NaN where nothing was trained."""
    loss, error = measured.final_loss, measured.loss_error
    return (math.nan, math.nan) if loss is None or error is None else (loss, NORMAL_QUANTILE * error)


def _half(trained: Trained, side: Callable[..., Reading]) -> Callable[[Case], Reading | None]:
    """Against half of chance, of a run that has trained so far."""

    def number_of(case: Case) -> Reading | None:
        its = case.measured
        found = side(_final(its)[0], its.facts.chance_level / 2.0, steps=its.end_steps)
        return found if its.trained == trained else None

    return number_of


def _not_trained(*, at_chance: bool) -> Callable[[Case], Reading | None]:
    """Against chance less the loss's noise. A run that was learning and then broke is not trained either, but not
    because of this number.
    """

    def number_of(case: Case) -> Reading | None:
        its = case.measured
        loss, noise = _final(its)
        limit = its.facts.chance_level - noise
        return above(loss, limit, steps=its.end_steps) if its.trained == "no" and (loss >= limit) == at_chance else None

    return number_of


def _above_chance(case: Case) -> Reading | None:
    """Above chance by more than its noise: training has made it worse."""
    its = case.measured
    loss, noise = _final(its)
    limit = its.facts.chance_level + noise
    return above(loss, limit, steps=its.end_steps) if loss > limit else None


def _first_loss(case: Case) -> Reading | None:
    """Far above chance, in a run that training has not made worse, where G is inside: too few layers stand between."""
    its = case.measured
    if its.trained in {None, "yes"} or its.diverged or case.starts_beyond:
        return None
    times = its.first_loss / its.facts.chance_level
    worse = its.final_loss is None or not its.final_loss <= its.first_loss
    return None if worse or not LARGE_FIRST_LOSS < times < math.inf else above(times, LARGE_FIRST_LOSS, (), START)


def _first_loss_words(item: Evidence) -> str:
    return f"the untrained network is far too sure: its loss is {number(item.value, 3)} times chance"


def _words(text: str, digits: int = DIGITS) -> Callable[[Evidence], str]:
    return lambda item: text.format(value=number(item.value, digits), threshold=number(item.threshold, digits))


def _loss_words(text: str) -> Callable[[Evidence], str]:
    return _words(text, 4)


def _at_chance_words(item: Evidence) -> str:
    if (item.threshold or 0.0) > 0.0:
        return _loss_words("not trained: final loss {value} is not below {threshold}, chance less its noise")(item)
    # Chance less such a noise is no loss that anybody knows.
    return _loss_words("not trained: the loss ends near {value}, and its noise alone is more than chance")(item)


BELOW_HALF: Final = Fact(
    "loss",
    "loss_below_half_of_chance",
    _half("yes", below),
    _loss_words("trained: final loss {value} is at most half of chance ({threshold})"),
    called="the final loss",
    limit="half of chance",
)
ABOVE_HALF: Final = Fact(
    "loss",
    "loss_above_half_of_chance",
    _half("partly", above),
    _loss_words("partly trained: final loss {value} is below chance, not below half of it ({threshold})"),
)
AT_CHANCE: Final = Fact(
    "loss",
    "loss_at_chance",
    _not_trained(at_chance=True),
    _at_chance_words,
    called="the final loss",
    limit="chance less its noise",
)
BROKEN: Final = Fact(
    "loss",
    "loss_before_nonfinite",
    _not_trained(at_chance=False),
    _loss_words("not trained: the run ended non-finite (loss before: {value})"),
)
FIRST_LOSS: Final = Fact("loss", "first_loss_over_chance", _first_loss, _first_loss_words)
ABOVE_CHANCE: Final = Fact(
    "loss", "loss_above_chance", _above_chance, called="the final loss", limit="chance with its noise"
)


# --- a log whose first loss stands for chance, as nobody has told it ------------------------------------------------

BELOW_HALF_OF_FIRST: Final = Fact(
    "loss",
    "loss_below_half_of_first",
    BELOW_HALF.number,
    _loss_words("trained: final loss {value} is at most half of the first one logged ({threshold} is its half)"),
)
ABOVE_HALF_OF_FIRST: Final = Fact(
    "loss",
    "loss_above_half_of_first",
    ABOVE_HALF.number,
    _loss_words("partly trained: final loss {value} is below the first one logged, not below half of it ({threshold})"),
)
NOT_BELOW_FIRST: Final = Fact(
    "loss",
    "loss_not_below_first",
    AT_CHANCE.number,
    _loss_words("not trained: final loss {value} is not below {threshold}, the first one logged less its noise"),
)
ABOVE_FIRST: Final = Fact(
    "loss",
    "loss_above_first",
    ABOVE_CHANCE.number,
    _loss_words("it ends above where it began: {threshold} is the first one logged with its noise"),
)
OF_CHANCE: Final = (BELOW_HALF, ABOVE_HALF, AT_CHANCE)
OF_FIRST: Final = (BELOW_HALF_OF_FIRST, ABOVE_HALF_OF_FIRST, NOT_BELOW_FIRST, ABOVE_FIRST)


# --- a run that was stopped, or too soon ----------------------------------------------------------------------------


def _stopped(case: Case) -> Reading | None:
    its, limit = case.measured, case.setup.loss_above
    if its.facts.stopped_by != "loss_above" or limit is None:
        return None
    return above(its.last_loss, limit, steps=(its.last_step, its.last_step))


STOPPED: Final = Fact("loss", "last_loss", _stopped, _loss_words("stopped at a loss of {value}, above {threshold}"))


def _is_untrained(measured: Measured) -> bool:
    """Trained for a while without success, and not broken."""
    return measured.trained not in {None, "yes"} and not measured.diverged


def _falling(case: Case) -> Reading | None:
    """By how much the loss of an untrained run fell within the end window, where that is more than its noise."""
    its = case.measured
    if not _is_untrained(its) or its.loss_fall is None or its.loss_fall_error is None:
        return None
    limit = NORMAL_QUANTILE * its.loss_fall_error
    return above(its.loss_fall, limit, steps=its.end_steps) if its.loss_fall > limit else None


def _falling_words(item: Evidence) -> str:
    first, last = item.steps or (0, 0)
    halves = f"from the first half of steps {first} to {last} to the second"
    fell = f"the loss was still falling when training ended, by {number(item.value)} {halves}"
    return f"{fell}. More steps may be what it lacks"


FALLING: Final = Fact("loss", "loss_still_falling", _falling, _falling_words)


# --- accuracy -------------------------------------------------------------------------------------------------------


def _accuracy(case: Case) -> Reading | None:
    """The test accuracy of a run that has not trained, against the largest that saying the commonest label reaches by
    luck in 19 of 20 test sets (binomial: the floor is the majority's share, and not 1/K).
    """
    its, facts = case.measured, case.measured.facts
    share, cases = facts.majority_share, facts.test_cases
    if share is None or cases == 0 or not math.isfinite(facts.test_metric) or not _is_untrained(its):
        return None
    most = special.bdtrik(1.0 - FALSE_ALARM, cases, share) if share > 0.0 else 0.0  # where no test case has that label
    return above(facts.test_metric, math.ceil(most) / cases, steps=(its.last_step, its.last_step))


def _above_majority(case: Case) -> Reading | None:
    found = _accuracy(case)
    return found if found is not None and case.measured.facts.test_metric > found.threshold else None


def _at_majority(case: Case) -> Reading | None:
    return _accuracy(case) if _above_majority(case) is None else None


def _accuracy_words(side: str) -> Callable[[Evidence], str]:
    floor = "of always saying the commonest label (at most {threshold} in 19 of 20 test sets)"
    return _words(f"test accuracy {{value}} is {side} what luck makes {floor}")


ABOVE_MAJORITY: Final = Fact(
    "test_metric", "accuracy_above_majority", _above_majority, _accuracy_words("above"), of_most=True
)
AT_MAJORITY: Final = Fact(
    "test_metric", "accuracy_at_majority", _at_majority, _accuracy_words("not above"), of_most=True
)


def _beside_neighbours(case: Case, errors: float) -> Reading | None:
    """The test accuracy of a run that has not trained, against that of a vote of each case's neighbours, less so many
    of its standard errors.
    """
    its, facts = case.measured, case.measured.facts
    share, cases = facts.neighbour_accuracy, facts.test_cases
    if share is None or cases == 0 or not math.isfinite(facts.test_metric) or not _is_untrained(its):
        return None
    error = math.sqrt(share * (1.0 - share) / cases)
    return above(facts.test_metric, share - errors * error, steps=(its.last_step, its.last_step))


def _as_neighbours(case: Case) -> Reading | None:
    found = _beside_neighbours(case, 1.0)
    return found if found is not None and case.measured.facts.test_metric >= found.threshold else None


def _below_neighbours(case: Case) -> Reading | None:
    found = _beside_neighbours(case, NORMAL_QUANTILE)
    return found if found is not None and case.measured.facts.test_metric < found.threshold else None


AS_NEIGHBOURS: Final = Fact(
    "test_metric",
    "accuracy_as_neighbours",
    _as_neighbours,
    _words("test accuracy {value} is as good as a vote of the nearest training cases ({threshold} less its noise)"),
    of_most=True,
)
BELOW_NEIGHBOURS: Final = Fact(
    "test_metric",
    "accuracy_below_neighbours",
    _below_neighbours,
    _words(
        "test accuracy {value} is below a vote of the nearest training cases ({threshold} less its noise): "
        "more can be had"
    ),
    of_most=True,
)


def _one_label(case: Case) -> Reading | None:
    """The same of a run that has not trained: always saying one label has 1/K, and so at most ½."""
    its = case.measured
    value = its.facts.balanced_accuracy
    if value is None or not _is_untrained(its) or not value < ONE_LABEL_ALONE:
        return None
    return below(value, ONE_LABEL_ALONE, steps=(its.last_step, its.last_step))


def _one_label_words(item: Evidence) -> str:
    value = number(item.value, 2)
    return f"hardly any but the commonest label is said: the balanced accuracy on training cases is {value}"


ONE_LABEL: Final = Fact("training_metric", "balanced_accuracy_of_one_label", _one_label, _one_label_words, of_most=True)


def _rare_lost(case: Case) -> Reading | None:
    """The balanced accuracy on training cases of which one label has most, in a run that has trained by its loss: loss
    and accuracy may both be good where the other labels are never said.
    """
    its = case.measured
    value = its.facts.balanced_accuracy
    if value is None or its.trained != "yes" or not value < LEAST_BALANCED:
        return None
    return below(value, LEAST_BALANCED, steps=(its.last_step, its.last_step))


def _rare_lost_words(item: Evidence) -> str:
    return f"cases of rare labels are lost: the balanced accuracy on training cases is {number(item.value, 2)}"


RARE_LOST: Final = Fact("training_metric", "balanced_accuracy", _rare_lost, _rare_lost_words, of_most=True)
