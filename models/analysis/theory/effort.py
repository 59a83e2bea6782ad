"""How much work theory does for a network, and where it stops: an answer is due at once, whatever is asked about.

Work is counted before each step that is followed, equal steps once (``repeats.py``). The unit is a millisecond of one
core of an AMD EPYC (Zen 4). A count and not a clock, so that the same network is refused everywhere.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from gradient_clinic.quadrature import HOMOGENEOUS, read_off
from models.analysis.theory import attention, gated_cells
from models.analysis.theory.meanfield import LayerMap
from models.analysis.theory.variances import Signal, followed
from models.plan import tree as plan

AT_ONCE: Final = 80.0
"""For an answer that a client waits for, over all passes."""
IN_A_TRIAL: Final = 1_500.0
"""For a network that is trained."""
_PLACE: Final = 0.8e-4


class TooMuchWorkError(Exception):
    """The network has more different steps than theory follows."""


@dataclass(slots=True)
class Effort:
    """What the passes of one network have cost so far. TooMuchWorkError beyond ``most``."""

    most: float = IN_A_TRIAL
    spent: float = 0.0

    def add(self, node: plan.Node, signal: Signal) -> None:
        for inner in plan.walk((node,)):
            self.spent += COSTS.get(type(inner), _simple)(inner, signal)
        self._check()

    def settle(self, maps: Collection[LayerMap], passes: int) -> None:
        """Fixed points and critical lines of different layers: found once, and counted as a part of each pass."""
        self.spent += sum(map(_settle, maps)) / passes
        self._check()

    def _check(self) -> None:
        if self.spent > self.most:
            raise TooMuchWorkError


def _settle(layer: LayerMap) -> float:
    if layer.activation.function in HOMOGENEOUS:
        return 0.1
    return 0.5 if read_off(layer.activation) else 3.5


def _simple(_: plan.Node, signal: Signal) -> float:
    return 0.03 + 0.2 * _PLACE * signal.spread.size


def _weigh(_: plan.Weigh, signal: Signal) -> float:
    return 0.055 + _PLACE * signal.spread.size


def _activate(node: plan.Activate, signal: Signal) -> float:
    """Of images the moments at several lengths."""
    moments = 0.05 if read_off(node.activation) else 0.12
    return (moments if signal.spread.size == 1 else 6.0 * moments) + _PLACE * signal.spread.size


def _attend(node: plan.Attend, signal: Signal) -> float:
    steps = len(followed(signal.spread.size))
    rows, width = attention.heads_drawn(steps) * steps, node.units // node.heads
    if rows * width > attention.MOST:
        return math.inf
    return 0.4 + rows * width * (1e-5 + 3e-7 * steps) + 2.6e-5 * rows * steps + 2.5e-6 * steps**3


def _recur(node: plan.Recur, signal: Signal) -> float:
    if node.cell not in gated_cells.RULES:
        return 0.3 + 0.05 * min(signal.spread.size, 100) + 0.0025 * signal.spread.size
    steps = len(followed(signal.spread.size))
    return steps * gated_cells.units_drawn(steps) * node.layer.gates * (4.5e-5 + 1.2e-6 * steps)


COSTS: Final[dict[type, Callable[[Any, Signal], float]]] = {
    plan.Weigh: _weigh,
    plan.Activate: _activate,
    plan.Attend: _attend,
    plan.Recur: _recur,
}
