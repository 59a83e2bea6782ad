"""The facts beside the headline in words: a clause per evidence, made of nothing but its numbers."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from models.analysis.verdict import collapse, evidence, further_facts
from models.analysis.verdict.shapes import Evidence
from models.analysis.verdict.wording import number


def clause_beside(item: Evidence) -> str | None:
    """None for an evidence of another kind, and for a slope that is no news."""
    clause = CLAUSES.get(item.statistic)
    return None if clause is None else clause(item)


def _left_open(item: Evidence) -> str:
    open_cut = "and training outcomes of this kind of network confirm no cut there"
    return f"G = {number(item.value, signed=True)} at the start is beyond ±3, {open_cut}"


def _over_time(item: Evidence) -> str:
    return (
        f"over time ±3 names a gain and foretells no outcome: networks beyond it were seen to train, gated ones and "
        f"where early steps do not matter ({item.layers[0]}: {number(item.value, signed=True)})"
    )


def _accuracy(item: Evidence) -> str:
    side = "above" if item.statistic == further_facts.ABOVE_MAJORITY else "not above"
    floor = f"of always saying the commonest label (at most {number(item.threshold)} in 19 of 20 test sets)"
    return f"test accuracy {number(item.value)} is {side} what luck makes {floor}"


def _falling(item: Evidence) -> str:
    first, last = item.steps or (0, 0)
    halves = f"from the first half of steps {first} to {last} to the second"
    fell = f"the loss was still falling when training ended, by {number(item.value)} {halves}"
    return f"{fell}; more steps may be what it lacks"


def _forward(item: Evidence) -> str | None:
    if item.margin is None or item.margin <= 0:
        return None
    verb = "grows" if (item.value or 0.0) > 1.0 else "shrinks"
    return f"forward, h {verb} from {item.layers[0]} to {item.layers[-1]} at the start: ×{number(item.value)} per layer"


def _inputs(item: Evidence) -> str:
    return f"inputs are out of scale: rms h of {item.layers[0]} is {number(item.value)} at the start"


def _scale(item: Evidence) -> str:
    if item.value is None:
        return "δ of all hidden layers together is out of proportion to the output layer's"
    size = "small" if item.value < 0 else "large"
    ratio = number(math.exp(item.value))
    return f"δ of all hidden layers together is {size} at the start: ×{ratio} of the output layer's"


def _collapsed(item: Evidence) -> str:
    share = f"{number(item.value)} of the units of the median layer are off for every sample of the batch at the start"
    return f"samples become one point on their way: {share}"


def _after_zero(item: Evidence) -> str:
    return f"weights start at zero, so G is read again once they have moved: {_settled(item)}"


def _after_transient(item: Evidence) -> str:
    return f"under batch norm the start is a transient, and no cause: {_settled(item)}"


def _settled(item: Evidence) -> str:
    first, last = item.steps or (0, 0)
    steps = f"step {first}" if first == last else f"steps {first} to {last}"
    return f"{number(item.value, signed=True)} at {steps}"


CLAUSES: Final[Mapping[str, Callable[[Evidence], str | None]]] = {
    further_facts.LEFT_OPEN: _left_open,
    further_facts.OVER_TIME_ALONE: _over_time,
    further_facts.FORWARD: _forward,
    further_facts.SCALE: _scale,
    evidence.INPUTS: _inputs,
    collapse.OFF_AT_START: _collapsed,
    further_facts.AFTER_ZERO: _after_zero,
    further_facts.AFTER_TRANSIENT: _after_transient,
    further_facts.FALLING: _falling,
    further_facts.ABOVE_MAJORITY: _accuracy,
    further_facts.AT_MAJORITY: _accuracy,
}
