"""Equal steps of a network are followed once: which nodes are alike, and what one made of a signal on its way back.

Two nodes are alike where nothing but the names and numbers of their layers differs. Deep networks repeat a few blocks,
and their lengths settle, so that most of them are met again with the very signal, and later the very δ, of an earlier
one.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Final

from gradient_clinic.values import Array
from models.analysis.theory.between_layers import Back, Step
from models.analysis.theory.variances import Delta, Signal
from models.plan import tree as plan

sides_of: Final = attrgetter(*(its.name for its in fields(plan.LayerPlan) if its.name not in {"index", "name"}))
"""All of a layer but its name and number."""
Levels = dict[str, tuple[float, int]]


def layers_in(node: plan.Node) -> Iterator[str]:
    """The names of a node's layers, alike nodes in the same order; what it shows may be a layer of another node."""
    match node:
        case plan.Weigh() | plan.Recur():
            yield node.layer.name
        case plan.Normalise() if node.shows is not None:
            yield node.shows.name
        case plan.Residual():
            yield node.shows.name
            for inner in (*node.body, *node.shortcut):
                yield from layers_in(inner)


def kind_of(node: plan.Node, shown: frozenset[str]) -> Hashable:
    """Equal for nodes that are alike; of layers in ``shown`` h is a sum, or a norm that stands alone."""
    match node:
        case plan.Weigh():
            return sides_of(node.layer), node.layer.name in shown
        case plan.Activate():
            return plan.Activate, node.activation, node.dropout, node.alpha_dropout
        case plan.Normalise():
            return node.norm, node.units, node.image, node.shows is None
        case plan.Dropout():
            return plan.Dropout, node.p
        case plan.Residual():
            parts = [[kind_of(inner, shown) for inner in part] for part in (node.body, node.shortcut)]
            names = list(layers_in(node))
            gate = None if node.gate is None else sides_of(node.gate)
            return *map(tuple, parts), node.skip, node.scale, gate, tuple(map(names.index, names))
    return node


@dataclass(slots=True)
class Unit:
    """A step of the network as it was first followed, and how often it was met."""

    node: plan.Node
    signal: Signal
    back: Back
    met: int = 0
    known: dict[Hashable, tuple[Delta, Levels]] = field(default_factory=dict)
    """By δ above, in its own unit: δ below and the levels recorded between."""


@dataclass(slots=True)
class Repeats:
    """The steps of one pass. Arrays and signals are told apart by identity; equal ones are made one."""

    units: dict[Hashable, Unit] = field(default_factory=dict)
    signals: dict[Hashable, Signal] = field(default_factory=dict)
    arrays: dict[bytes, Array] = field(default_factory=dict)

    def unit(self, kind: Hashable, signal: Signal) -> Unit | None:
        return self.units.get((kind, id(signal)))

    def keep(self, kind: Hashable, node: plan.Node, signal: Signal, step: Step) -> Unit:
        out, back = step
        unit = self.units[kind, id(signal)] = Unit(node, self.one(out), back)
        return unit

    def one(self, signal: Signal) -> Signal:
        """The first signal that was equal to this one."""
        below = signal.below and (signal.below.activation, signal.below.dropout)
        parts = (signal.spread, signal.common, signal.offset, signal.alike)
        key = (*map(_bytes, parts), signal.spread.shape, signal.gaussian, signal.known, below)
        return self.signals.setdefault(key, signal)

    def same(self, array: Array | None) -> int:
        """The identity of the first array that was equal to this one."""
        return 0 if array is None else id(self.arrays.setdefault(array.tobytes(), array))


def _bytes(array: Array | None) -> bytes | None:
    return None if array is None else array.tobytes()


def without_log(delta: Delta) -> Delta:
    """In its own unit, so that one way back serves every δ of this shape."""
    return replace(delta, log=0.0, breaks=0)
