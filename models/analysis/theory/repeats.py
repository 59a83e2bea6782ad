"""Equal steps of a network are followed once: which nodes are alike, and what was found when the first of them was
followed.

Two nodes are alike where nothing but the names and numbers of their layers differs. Deep networks repeat a few blocks,
and their lengths settle. So most blocks meet the very signal, and later the very δ, of an earlier one.
"""

import functools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final

from gradient_clinic.values import Array
from models.analysis.theory.variances import Back, Delta, Signal
from models.plan import tree as plan

sides_of: Final = attrgetter(*(side.name for side in fields(plan.LayerPlan) if side.name not in {"index", "name"}))
"""All of a layer but its name and number."""
IN_A_ROW: Final = 16
"""Steps that are kept as one beside each for itself: a stack of a thousand layers then takes some dozen."""


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
            # Names differ between alike blocks; which of them are one layer does not.
            gate = None if node.gate is None else sides_of(node.gate)
            return *map(tuple, parts), node.skip, node.scale, gate, tuple(map(names.index, names))
    return node


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network has a node, or ``IN_A_ROW`` places one on another (then ``inner``)."""

    kind: Hashable
    """Equal for places that are alike; None where it is one of its kind."""
    names: tuple[str, ...]
    """As of ``layers_in``."""
    node: plan.Node | None
    inner: tuple["Place", ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a network's own steps, and its last hidden layer."""

    places: tuple[Place, ...]
    last: plan.LayerPlan
    shown: frozenset[str]
    """Layers whose h is a sum, or a norm that stands alone."""


@functools.lru_cache(maxsize=4)  # the passes of one network follow each other
def layout_of(network: plan.NetworkPlan) -> Layout:
    """The last hidden layer's δ is the unit of all, and the states of a loop have a record of their own: neither is
    ever met again.
    """
    shows = [node.shows for node in plan.walk(network.body) if isinstance(node, plan.Residual | plan.Normalise)]
    shown = frozenset(layer.name for layer in shows if layer is not None)
    numbers, last, places = dict[Hashable, int](), network.hidden[-1].name, list[Place]()
    for node in network.body:
        names = tuple(layers_in(node))
        single = last in names or any(isinstance(inner, plan.Recur) for inner in plan.walk((node,)))
        kind = None if single else numbers.setdefault(kind_of(node, shown), len(numbers))
        places.append(Place(kind, names, node))
    # A row with the last hidden layer or a loop in it is never met again, and stays as it is.
    rows = (places[start : start + IN_A_ROW] for start in range(0, len(places), IN_A_ROW))
    return Layout(tuple(place for row in rows for place in _as_one(row)), network.hidden[-1], shown)


def _as_one(row: Sequence[Place]) -> Sequence[Place]:
    if len(row) < IN_A_ROW or any(place.kind is None for place in row):
        return row
    names = tuple(name for place in row for name in place.names)
    return (Place(tuple(place.kind for place in row), names, None, tuple(row)),)


@dataclass(frozen=True, slots=True)
class Known:
    """The way back of one node from δ in its own unit: ``levels`` are (number of the name, level, breaks above)."""

    below: Delta
    levels: tuple[tuple[int, float, int], ...]

    def later(self, count: int) -> "Known":
        """As part of a row, behind so many names."""
        return Known(self.below, tuple((at + count, level, breaks) for at, level, breaks in self.levels))


@dataclass(slots=True)
class Unit:
    """A place of the network as it was first followed, and how often its like was met."""

    names: tuple[str, ...]
    """Of its layers where it was first met."""
    signal: Signal
    back: Back | None = None
    way: Sequence[tuple[Place, "Unit"]] = ()
    """Of a row: its places."""
    met: int = 0
    known: dict[Hashable, list[Known]] = field(default_factory=dict)
    """By δ above, from the top down."""


@dataclass(slots=True)
class Repeats:
    """The steps of one pass. Arrays and signals are told apart by identity; equal ones are made one."""

    units: dict[Hashable, Unit] = field(default_factory=dict)
    signals: dict[Hashable, Signal] = field(default_factory=dict)
    arrays: dict[bytes, Array] = field(default_factory=dict)
    firsts: set[int] = field(default_factory=set)
    """Identities of the arrays that others are made."""

    def unit(self, kind: Hashable, signal: Signal) -> Unit | None:
        return self.units.get((kind, id(signal)))

    def keep(self, kind: Hashable, signal: Signal, unit: Unit) -> Unit:
        self.units[kind, id(signal)] = unit
        return unit

    def one(self, signal: Signal) -> Signal:
        """The first signal that was equal to this one."""
        below = signal.below and (signal.below.activation, signal.below.dropout)
        parts = (signal.spread, signal.common, signal.offset, signal.alike)
        contents = (None if part is None else part.tobytes() for part in parts)
        key = (*contents, signal.spread.shape, signal.gaussian, signal.known, below)
        return self.signals.setdefault(key, signal)

    def merged(self, delta: Delta) -> Delta:
        """δ with the first arrays that were equal to its own."""
        alike = None if delta.alike is None else self._first(delta.alike)
        return Delta(self._first(delta.square), delta.log, delta.breaks, alike)

    def _first(self, array: Array) -> Array:
        if id(array) in self.firsts:
            return array
        found = self.arrays.setdefault(array.tobytes(), array)
        # ``arrays`` holds it, so no later array can come to the same identity.
        self.firsts.add(id(found))
        return found
