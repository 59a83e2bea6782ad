"""An early reading of a run that still goes on: does its trace so far foretell that it will not train?

It reads the stored records 0 … t and nothing else: no theory, no later step. The verdict of a run that has ended is
``judge.py``'s, by its training outcome. Losses are in units of the chance level. On which networks the thresholds
were chosen, and what they are worth on others, ``make bench-science`` tells.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.values import Value
from gradient_clinic.verdict.early_signs import HALF, WINDOW, Signs, signs_of
from gradient_clinic.verdict.headline import FRACTION_LIMIT, worst
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Evidence

EARLY_RULES: Final = "early-5"
FAR: Final = 9.0
"""|G| of three times the cut, a factor 8,000 between the ends: beyond it hardly an optimiser made up for it in time.
Between 3 and 9 Adam often does."""
LEARNED: Final = 0.7
"""A loss below has left its plateau: from there on G decides nothing."""
STILL: Final = 3e-5
"""‖ΔW‖/‖W‖ of one step; 1e-3 is usual. A hundred such steps change a weight by 0.3 %, whatever G is."""
LEAP: Final = 0.5
"""‖ΔW‖/‖W‖ of one step that leaves little of what was drawn: now, or at any time if nothing has been learned since.
Under a norm the scale of W is free, and it may."""
REBOUND: Final = 0.15
"""A loss that was below chance and rose by so much, to above ``HALF``: what was learned is lost again, as the step is
too long for where the weights are now."""
RISEN: Final = 1.5
"""So many times chance, and times its own start: training makes it worse."""
PLATEAU: Final = 0.84
TOO_FAR: Final = 170.0
"""Stalled: a loss above the one, that at the speed of the last ten steps would need more steps than the other to half
of chance."""
AT_CHANCE: Final = 0.995
"""The same plateau where no layer shows a reason."""
FALL: Final = 0.02
"""Of the loss since the start, by which it counts as falling."""
FEWEST_FOR_STALL: Final = 40

EarlyKind = Literal[
    "vanishing", "exploding", "diverged", "unstable", "dead", "saturated", "stalled", "healthy", "undecided"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyReading(Value):
    """``undecided`` where there is too little evidence, or where what gradients and loss say contradicts."""

    kind: EarlyKind
    step: int
    """The last step that was read."""
    evidence: tuple[Evidence, ...]
    rules: str = EARLY_RULES

    @property
    def alarm(self) -> bool:
        return self.kind not in {"healthy", "undecided"}


Finding = tuple[EarlyKind, Evidence]


EVEN_STEPS: Final = frozenset({"muon"})
"""Optimisers whose step is as long in every layer however small its gradient is: G foretells nothing under them. (Of
Adam that holds entry by entry, as far as ε and noise allow.)"""


def read_early(trace: RunTrace, chance_level: float, optimizer: str) -> EarlyReading:
    """The reading at the trace's last record, under this kind of optimiser. A trace needs its records from step 0 on,
    in every step.
    """
    signs = signs_of(trace, chance_level, even_steps=optimizer in EVEN_STEPS)
    for rule in ALARMS:
        if found := rule(signs):
            return EarlyReading(kind=found[0], step=signs.step, evidence=(found[1],))
    kind: EarlyKind = "healthy" if _goes_well(signs) else "undecided"
    return EarlyReading(kind=kind, step=signs.step, evidence=(_of_loss(signs, "loss_of_chance", signs.loss, LEARNED),))


# --- the alarms, in the order of what decides -----------------------------------------------------------------------


def _nonfinite(signs: Signs) -> Finding | None:
    return ("diverged", _evidence(signs, "nonfinite_count", "first_nonfinite", None, 0.0)) if signs.broken else None


def _far(signs: Signs) -> Finding | None:
    """G beyond ±9 at the start or now, and the loss has not left its plateau."""
    gain = signs.furthest_gain
    if signs.even_steps or not (abs(gain) > FAR and signs.loss > LEARNED):
        return None
    return _kind_of(gain), _of_gain(signs, gain, FAR)


def _still(signs: Signs) -> Finding | None:
    """The weights do not move: δ vanishes and with it the step of plain SGD, or the rate is far too low. The first
    steps may be short on purpose (a warm-up).
    """
    vanishes = signs.gain < -LIMIT
    if not (signs.update < STILL and signs.loss > LEARNED) or not (vanishes or signs.step >= FEWEST_FOR_STALL):
        return None
    kind: EarlyKind = "vanishing" if vanishes else "stalled"
    return kind, _evidence(signs, "update_ratio", "median_layer", signs.update, STILL)


def _leap(signs: Signs) -> Finding | None:
    longest = signs.longest if signs.loss > LEARNED else signs.update
    if signs.normalized or not longest > LEAP:
        return None
    kind: EarlyKind = "exploding" if signs.gain > LIMIT else "unstable"
    return kind, _evidence(signs, "update_ratio", "median_layer", longest, LEAP)


def _rose(signs: Signs) -> Finding | None:
    if signs.rebound > REBOUND and signs.loss > HALF:
        return "unstable", _of_loss(signs, "rise_above_minimum", signs.rebound, REBOUND)
    if signs.step >= WINDOW and signs.loss > RISEN * max(1.0, signs.loss_at_start):
        return "unstable", _of_loss(signs, "loss_of_chance", signs.loss, RISEN)
    return None


def _stalled(signs: Signs) -> Finding | None:
    """The loss stands near chance, and there is a reason in the layers."""
    if signs.step < FEWEST_FOR_STALL or not (signs.loss > PLATEAU and signs.steps_to_half > TOO_FAR):
        return None
    return _gain_beyond(signs) or _most_of_a_layer(signs)


def _silent(signs: Signs) -> Finding | None:
    """Nothing reaches the last hidden layer, exactly; only the output's biases learn, and lower the loss by it."""
    if signs.step < WINDOW or not (signs.silent and signs.loss > PLATEAU):
        return None
    return "vanishing", _evidence(signs, "activation_gradient_rms", "last_hidden_layer", 0.0, 0.0)


def _gain_beyond(signs: Signs) -> Finding | None:
    """Under a norm at the start too: the first steps hide it from G, and mend nothing."""
    for gain in (signs.gain, signs.gain_at_start if signs.normalized else math.nan):
        if abs(gain) > LIMIT and not signs.even_steps:
            return _kind_of(gain), _of_gain(signs, gain, LIMIT)
    return None


def _most_of_a_layer(signs: Signs) -> Finding | None:
    kinds: tuple[tuple[EarlyKind, str, tuple[float, ...]], ...] = (
        ("dead", "dead_fraction", signs.dead),
        ("saturated", "saturated_fraction", signs.saturated),
    )
    for kind, signal, fractions in kinds:
        if worst(fractions)[1] > FRACTION_LIMIT:
            return kind, _evidence(signs, signal, "worst_hidden_layer", worst(fractions)[1], FRACTION_LIMIT)
    return None


def _at_chance(signs: Signs) -> Finding | None:
    """The loss stands at chance and hardly moves, and no layer says why."""
    if signs.step < FEWEST_FOR_STALL or not (signs.loss > AT_CHANCE and signs.steps_to_half > TOO_FAR):
        return None
    return "stalled", _of_loss(signs, "loss_of_chance", signs.loss, AT_CHANCE)


ALARMS: Final[tuple[Callable[[Signs], Finding | None], ...]] = (
    _nonfinite,
    _far,
    _still,
    _leap,
    _rose,
    _silent,
    _stalled,
    _at_chance,
)


def _goes_well(signs: Signs) -> bool:
    """The loss has left its plateau; or is falling, or not asked yet, with gradients inside ±3."""
    if signs.loss < LEARNED:
        return True
    inside = abs(signs.gain) < LIMIT
    return inside and (signs.step < WINDOW or signs.loss_at_start - signs.loss > FALL)


# --- evidence -------------------------------------------------------------------------------------------------------


def _kind_of(gain: float) -> EarlyKind:
    return "vanishing" if gain < 0.0 else "exploding"


def _of_gain(signs: Signs, gain: float, limit: float) -> Evidence:
    return _evidence(signs, "activation_gradient_rms", "total_gain", gain, math.copysign(limit, gain))


def _of_loss(signs: Signs, statistic: str, value: float, threshold: float) -> Evidence:
    return _evidence(signs, "loss", statistic, value, threshold)


def _evidence(signs: Signs, signal: str, statistic: str, value: float | None, threshold: float) -> Evidence:
    margin = None if value is None else abs(abs(value) - abs(threshold))
    return Evidence(
        signal=signal,
        layers=() if signal == "loss" else signs.hidden,
        steps=(0, signs.step),
        statistic=statistic,
        value=value,
        threshold=threshold,
        margin=margin,
    )
