"""Every fact of a verdict, in the order in which it is shown. The rules take its number, the sentences its words.

A new fact is one ``Fact`` in the file of its like, and a place in one of the lists below.
"""

from collections.abc import Mapping
from typing import Final

from models.analysis.verdict.facts.collapse import OFF_AT_START
from models.analysis.verdict.facts.fact import Fact
from models.analysis.verdict.facts.of_gains import (
    AFTER_TRANSIENT,
    AFTER_ZERO,
    AT_END,
    AT_START,
    LEFT_OPEN,
    OVER_TIME_ALONE,
    PREDICTED,
)
from models.analysis.verdict.facts.of_layers import (
    DEAD,
    GROWTH,
    INPUTS,
    LARGEST_STEP,
    LOWEST,
    NONFINITE_BACKWARD,
    NONFINITE_FORWARD,
    SATURATED,
    SCALE,
    SLOPE,
)
from models.analysis.verdict.facts.of_losses import (
    ABOVE_CHANCE,
    ABOVE_HALF,
    ABOVE_MAJORITY,
    AT_CHANCE,
    AT_MAJORITY,
    BELOW_HALF,
    BROKEN,
    FALLING,
    STOPPED,
)
from models.analysis.verdict.facts.of_setups import (
    BARE_STREAM,
    EQUAL_UNITS,
    INPUT_SCALE,
    POST_NORM,
    PREDICTED_ALIKE,
    TARGET_SCALE,
    TOLD_APART,
    WEIGHT_SCALE,
)

RESTS_ON: Final = (
    AT_START,
    AT_END,
    BELOW_HALF,
    ABOVE_HALF,
    AT_CHANCE,
    BROKEN,
    NONFINITE_FORWARD,
    NONFINITE_BACKWARD,
    STOPPED,
    DEAD,
    SATURATED,
)
"""What every headline rests on, and is shown first."""
OF_CAUSES: Final = (
    EQUAL_UNITS,
    TARGET_SCALE,
    PREDICTED,
    SLOPE,
    TOLD_APART,
    BARE_STREAM,
    POST_NORM,
    ABOVE_CHANCE,
    LARGEST_STEP,
    OFF_AT_START,
    PREDICTED_ALIKE,
    INPUTS,
    LOWEST,
)
"""Shown where the rule of a cause asks for them (``causes.py``)."""
BESIDE: Final = (
    INPUT_SCALE,
    WEIGHT_SCALE,
    LEFT_OPEN,
    OVER_TIME_ALONE,
    GROWTH,
    SCALE,
    AFTER_ZERO,
    AFTER_TRANSIENT,
    FALLING,
    ABOVE_MAJORITY,
    AT_MAJORITY,
)
"""Shown last: none of them makes a headline."""
FACTS: Final[Mapping[tuple[str, str], Fact]] = {
    (fact.signal, fact.name): fact for fact in (*RESTS_ON, *OF_CAUSES, *BESIDE)
}
CALLED: Final[Mapping[str, str]] = {fact.name: fact.called for fact in FACTS.values() if fact.called is not None}
