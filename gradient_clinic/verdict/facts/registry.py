"""Every fact of a verdict, in the order in which it is shown. The rules take its number, the sentences its words."""

from collections.abc import Mapping
from typing import Final

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts import of_gains, of_layers, of_logs, of_losses, of_setups, of_steps
from gradient_clinic.verdict.facts.fact import Fact

RESTS_ON: Final = (
    of_gains.AT_START,
    of_gains.AT_END,
    of_losses.BELOW_HALF,
    of_losses.ABOVE_HALF,
    of_losses.AT_CHANCE,
    of_losses.BROKEN,
    of_layers.NONFINITE_FORWARD,
    of_layers.NONFINITE_BACKWARD,
    of_losses.STOPPED,
    of_layers.DEAD,
    of_layers.SATURATED,
)
"""What every headline rests on, and is shown first."""
OF_CAUSES: Final = (
    of_setups.EQUAL_UNITS,
    of_setups.NEARLY_EQUAL,
    of_setups.TARGET_SCALE,
    of_setups.TARGET_OFFSET,
    of_gains.PREDICTED,
    of_layers.SLOPE,
    of_setups.LEFT_BY_MEANS,
    of_setups.START_GAIN,
    of_setups.END_GAIN,
    of_steps.BRANCH_START,
    of_setups.TOLD_APART,
    of_layers.WEIGHTS_LEFT,
    of_setups.FEW_CASES_NORMED,
    of_setups.BARE_STREAM,
    of_setups.POST_NORM,
    of_losses.FIRST_LOSS,
    of_losses.ABOVE_CHANCE,
    of_steps.LARGEST_STEP,
    of_steps.SMALL_STEP,
    of_steps.SHORT_STEP,
    of_setups.MEAN_RATE,
    of_setups.WINDOW,
    of_layers.OFF_AT_START,
    of_setups.PREDICTED_ALIKE,
    of_layers.INPUTS,
    of_layers.LOWEST,
)
"""Shown where the rule of a cause asks for them (``causes.py``)."""
BESIDE: Final = (
    of_setups.INPUT_SCALE,
    of_setups.WEIGHT_SCALE,
    of_gains.LEFT_OPEN,
    of_gains.OVER_TIME_ALONE,
    of_layers.GROWTH,
    of_layers.SCALE,
    of_layers.LOST_IN_HALF,
    of_gains.AFTER_ZERO,
    of_gains.AFTER_TRANSIENT,
    of_losses.FALLING,
    of_losses.ABOVE_MAJORITY,
    of_losses.AT_MAJORITY,
    of_losses.AS_NEIGHBOURS,
    of_losses.BELOW_NEIGHBOURS,
    of_losses.RARE_LOST,
    of_losses.ONE_LABEL,
)
"""Shown last: none of them makes a headline."""
OF_LOGS: Final = (*of_losses.OF_FIRST, *of_logs.IN_ALL, *of_logs.OF_RATE)
"""Of runs without layers, beside those of the loss above."""
FACTS: Final[Mapping[tuple[str, str], Fact]] = {
    (fact.signal, fact.name): fact for fact in (*RESTS_ON, *OF_CAUSES, *BESIDE, *OF_LOGS)
}
CALLED: Final[Mapping[str, str]] = {fact.name: fact.called for fact in FACTS.values() if fact.called is not None}
LIMITS: Final[Mapping[str, str]] = {fact.name: fact.limit for fact in FACTS.values() if fact.limit is not None}


def shown_first(case: Case) -> tuple[Fact, ...]:
    """What the headline of this run rests on."""
    if case.measured.has_layers:
        return RESTS_ON
    log = case.measured.facts.log
    against = of_losses.OF_FIRST if log is not None and log.from_first_loss else of_losses.OF_CHANCE
    return (*against, of_losses.BROKEN, *of_logs.IN_ALL, *of_logs.OF_RATE, of_losses.FALLING)


def shown_last(case: Case) -> tuple[Fact, ...]:
    """What stands beside it."""
    return BESIDE if case.measured.has_layers else ()
