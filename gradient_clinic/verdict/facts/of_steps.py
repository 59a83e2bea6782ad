"""What the largest steps show beside the weights: too long, too short, or long beside a small start alone."""

from typing import Final

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import LARGE_UPDATE, SMALL_WEIGHTS, START, Fact, Reading, above, below
from gradient_clinic.verdict.shapes import Evidence
from gradient_clinic.verdict.wording import number

SMALL_UPDATE: Final = 5e-4
"""‖ΔW‖/‖W‖ of the largest step. ReLU, tanh and convolutional networks on digits that learn in 250 steps have 0.0017 to
0.8 there; with 5e-4 and less none closes half of the way from chance."""
SHORT_UPDATE: Final = 0.015
"""The same of a run that is on its way, slowly, and has no other cause. Of ten such networks on digits below it a rate
three or ten times as high trains eight on both seeds and a ninth on one, in as many steps, and Adam at 0.003 the tenth;
of the seven above, four (docs/verdicts.md)."""
LARGE_BRANCH_STEP: Final = 0.15
"""‖ΔW‖ of one step over the ‖W‖ of branches with √σw² = 1, in a transformer. Of 45 runs from small weights that stand
above half of chance and have 0.19 and more there, all learn sooner at a lower rate. Of those with up to 0.05 none does;
four with 0.06 and 0.14 learn within 40 steps, sooner than at a lower rate (docs/verdicts.md)."""


def long_step(case: Case) -> float:
    """‖ΔW‖/‖W‖ from which on a step is long. On branches of a transformer whose weights start smaller than is usual a
    step is as long as it would be beside usual ones.
    """
    gain = case.branch_gain
    return LARGE_UPDATE if gain is None else max(LARGE_UPDATE, LARGE_BRANCH_STEP / gain)


def _largest_step(case: Case) -> Reading | None:
    its, limit = case.measured, long_step(case)
    found = above(its.largest_update, limit, its.hidden, (0, its.last_step))
    return found if its.largest_update > limit else None


CALLED_STEP: Final = "the largest step, as a share of the weights,"
LARGEST_STEP: Final = Fact("update_ratio", "median_of_largest_steps", _largest_step, called=CALLED_STEP)


def _branch_start(case: Case) -> Reading | None:
    """√σw² on the branches of a transformer, where a step is long beside it, and would not be beside a usual one."""
    its, gain = case.measured, case.branch_gain
    sick = case.kind in {"stalled", "slow"} and not its.normalized
    if gain is None or not sick or not its.largest_update > LARGE_UPDATE or LARGEST_STEP.of(case) is not None:
        return None
    return below(gain, SMALL_WEIGHTS, case.branches, START) if gain < SMALL_WEIGHTS else None


def _branch_start_words(item: Evidence) -> str:
    start = f"weights on the branches start with a √σw² of {number(item.value, 2)}, and about 1 is usual"
    return f"{start}: they have to grow first, and steps are long beside such a start alone"


BRANCH_START: Final = Fact("weight_norm", "gain_of_branches_at_start", _branch_start, _branch_start_words)


def _smallest_step(case: Case) -> Reading | None:
    """The median layer's largest step, where even that hardly moves the weights."""
    its = case.measured
    found = below(its.largest_update, SMALL_UPDATE, its.hidden, (0, its.last_step))
    return found if its.largest_update < SMALL_UPDATE else None


def _smallest_step_words(item: Evidence) -> str:
    return f"steps are too short: {_moved(item)}"


def _moved(item: Evidence) -> str:
    return f"the largest one moves the weights by {number(item.value, 2)} of themselves"


SMALL_STEP: Final = Fact(
    "update_ratio",
    "median_of_largest_steps_too_short",
    _smallest_step,
    _smallest_step_words,
    called=CALLED_STEP,
)


def _short_step(case: Case) -> Reading | None:
    """The same where it moves them, and a run that is on its way has not come half of it. Dropout slows a run as well,
    so that there the rate is not blamed (decision 51).
    """
    its, noisy = case.measured, case.setup.told_apart is not None
    if noisy or its.trained != "partly" or not SMALL_UPDATE <= its.largest_update < SHORT_UPDATE:
        return None
    return below(its.largest_update, SHORT_UPDATE, its.hidden, (0, its.last_step))


def _short_step_words(item: Evidence) -> str:
    return f"steps are short beside what is left to learn: {_moved(item)}"


SHORT_STEP: Final = Fact(
    "update_ratio",
    "median_of_largest_steps_short",
    _short_step,
    _short_step_words,
    called=CALLED_STEP,
)
