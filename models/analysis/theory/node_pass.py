"""Mean-field theory through the tree of a network: lengths of h forward, and back the mean square of δ.

Each step of the plan has a rule that gives its output's lengths and the way back. Weights are independent of each
other and of what they meet, so mean squares multiply along a path and add where paths meet:

    W, stride, borders  E h² = σw²·E x² over the kernel's taps + σb²,    E δ² ← fan_out·Var W over the taps that read it
    φ, dropout p        E φ(h)²/(1 − p) over h ~ N(0, q),                E δ² ← E φ'²/(1 − p)
    norm                v/(v + ε),                                        E δ² ← 1/(v + ε)
    x + s·F(x)          q + s²·q_F,                                       E δ² ← 1 + s²·χ_F
    T·F + (1 − T)·x     E(1 − T)²·q + E T²·q_F,            E δ² ← E(1 − T)² + E T²·χ_F + σ_T²·E T'²·(q + q_F)

A factor without a closed form (which pixel wins a max pool) is a ``break``: levels on its two sides do not compare.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from gradient_clinic.values import Array
from models.analysis.theory.attention import attend
from models.analysis.theory.between_layers import BETWEEN
from models.analysis.theory.effort import Effort
from models.analysis.theory.gate_moments import gate_moments
from models.analysis.theory.initial_variance import layer_variance
from models.analysis.theory.kernel_taps import inputs_of, taps_of
from models.analysis.theory.norm_moments import batch_factor, group_factor
from models.analysis.theory.recurrent_cells import recur
from models.analysis.theory.repeats import Known, Layout, Place, Repeats, Unit, layout_of
from models.analysis.theory.state_levels import StateLevels
from models.analysis.theory.variances import Back, Delta, Signal, Step, cosines, places_of, row_per_token, toeplitz
from models.plan import LayerPlan, NetworkPlan
from models.plan import tree as plan
from models.specs.normalization import NormalizationSpec


@dataclass(slots=True)
class Pass:
    """One pass through a network; what it found on the way back is in ``levels`` and ``states``."""

    network: NetworkPlan
    batch_size: int
    effort: Effort
    levels: dict[str, tuple[float, int]] = field(default_factory=dict)
    """ln rms δ by layer with the number of breaks above it."""
    states: dict[str, StateLevels] = field(default_factory=dict)
    unit: float = 0.0
    """ln of the mean square, of δ at the output, that levels are counted in."""
    repeats: Repeats = field(default_factory=Repeats)
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = layout_of(self.network)

    def run(self, mean_square: float, steps: int | None = None) -> None:
        """Forward from inputs of that mean square, over so many ``steps`` where not all, and back from independent
        entries of δ at the output.
        """
        places = places_of(self.network.input)
        inputs = np.full(places if steps is None else (steps, *places[1:]), mean_square)
        nothing = np.zeros_like(inputs)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an infinite χ is an answer
            # Steps, or rows, may be alike; the units of a vector are taken as independent.
            steps_alike = self.network.input.form != "vector"
            alike = toeplitz(self.network.input.alike, len(inputs)) if steps_alike else None
            given = Signal(inputs, nothing, nothing, alike=alike)
            way = self.through(self.layout.places, self.repeats.one(given))
            self.back(way, Delta(np.ones_like(way[-1][1].signal.spread)))

    def through(self, places: Sequence[Place], signal: Signal) -> list[tuple[Place, Unit]]:
        """Places of the network one on another, equal ones once."""
        way = list[tuple[Place, Unit]]()
        for place in places:
            unit = None if place.kind is None else self.repeats.unit(place.kind, signal)
            if unit is None:
                unit = self.repeats.keep(place.kind, signal, self.first(place, signal))
            unit.met += 1
            signal = unit.signal
            way.append((place, unit))
        return way

    def first(self, place: Place, signal: Signal) -> Unit:
        if place.node is None:
            way = self.through(place.inner, signal)
            return Unit(place.names, way[-1][1].signal, way=way)
        # Before the step: what would take too long is not begun.
        self.effort.add(place.node, signal)
        out, back = self.step(place.node, signal)
        return Unit(place.names, self.repeats.one(out), back)

    def back(self, way: Sequence[tuple[Place, Unit]], delta: Delta) -> Delta:
        for place, unit in reversed(way):
            if unit.met > 1:
                delta = self.again(place, unit, delta)
            else:
                delta = self.back(unit.way, delta) if unit.back is None else unit.back(delta)
        return delta

    def again(self, place: Place, unit: Unit, delta: Delta) -> Delta:
        """The way back of what was met more than once: from what is known, with levels under its own names."""
        for known in self.known(unit, delta):
            for at, level, breaks in known.levels:
                self.levels.setdefault(place.names[at], (level + 0.5 * delta.log, breaks + delta.breaks))
            below = known.below
            delta = Delta(below.square, below.log + delta.log, below.breaks + delta.breaks, below.alike)
        return delta

    def known(self, unit: Unit, delta: Delta) -> list[Known]:
        above = self.repeats.merged(replace(delta, log=0.0, breaks=0))  # one way back serves every δ of this shape
        key = id(above.square), id(above.alike)
        if key not in unit.known:
            unit.known[key] = self.learned(unit.names, unit.back, above) if unit.back else self.learned_row(unit, above)
        return unit.known[key]

    def learned(self, names: Sequence[str], back: Back, above: Delta) -> list[Known]:
        # Recorded apart: what this way back finds is told again under other layers' names.
        levels, self.levels = self.levels, {}
        below, found = self.repeats.merged(back(above)), self.levels
        self.levels = levels
        return [Known(below, tuple((at, *found[name]) for at, name in enumerate(names) if name in found))]

    def learned_row(self, unit: Unit, above: Delta) -> list[Known]:
        found, names = list[Known](), len(unit.names)
        for _, inner in reversed(unit.way):
            # Names are in forward order and the row is walked back: each inner unit has those before the last.
            names -= len(inner.names)
            found += [known.later(names) for known in self.known(inner, above)]
            above = found[-1].below
        return found

    def step(self, node: plan.Node, signal: Signal) -> Step:
        of_layers = OF_LAYERS.get(type(node))
        return of_layers(self, node, signal) if of_layers else ALONE[type(node)](node, signal)

    def chain(self, nodes: tuple[plan.Node, ...], signal: Signal) -> Step:
        backs: list[Back] = []
        for node in nodes:
            signal, back = self.step(node, signal)
            backs.append(back)
        return signal, lambda delta: functools.reduce(lambda above, back: back(above), reversed(backs), delta)

    def record(self, layer: LayerPlan, delta: Delta) -> Delta:
        """δ as it is here. The way back meets a sum, or a norm behind it, before the weights inside: the first counts.

        All gains are to the last hidden layer, so its δ is the unit: what lies above it leaves no digit behind.
        """
        if layer.name in self.levels:
            return delta
        if layer is self.layout.last:
            delta = delta.with_square(delta.square)
            self.unit, delta = delta.log, replace(delta, log=0.0)
        self.levels[layer.name] = (delta.level, delta.breaks)
        return delta

    # --- weights and norms --------------------------------------------------------------------------------------

    def weigh(self, node: plan.Weigh, signal: Signal) -> Step:
        layer = node.layer
        drawn = layer_variance(layer)
        if layer.kind == "embedding":
            signal = row_per_token(signal, drawn.weight / layer.fan_in)
            return signal, lambda delta: self.record(layer, delta)
        read, send = taps_of(layer, signal.spread.shape)
        weight, lost = drawn.weight, 0
        if layer.init.kind == "lsuv" and layer.normalization is None and layer.scale > 0.0:
            mean = float(read(signal.square).mean())
            weight = 1.0 / mean if mean > 0.0 else 0.0
            lost = int(layer.name in self.layout.shown)  # scaled by Var of a sum, which it is only a part of
        out = Signal(
            weight * read(signal.spread),
            weight * read(signal.common) + drawn.bias,
            np.zeros_like(read(signal.spread)),
            gaussian=layer.init.kind != "identity" or signal.gaussian,
            known=signal.known,
            below=signal.below,
        )
        if signal.alike is not None and layer.kind != "conv2d":
            out = replace(out, alike=cosines(weight * signal.covariance + drawn.bias))
        out, through = self.normalise(layer.normalization, out, layer.units)
        # fan_out·Var W, as σw² = fan_in·Var W.
        backward = weight * layer.units / inputs_of(layer)
        if layer.role == "output" and backward == 0.0:
            backward = 1.0  # it never counts; gains are those from when it has moved

        def back(delta: Delta) -> Delta:
            delta = through(self.record(layer, delta))
            return delta.with_square(backward * send(delta.square), lost)

        return out, back

    def normalise(self, norm: NormalizationSpec | None, signal: Signal, units: int) -> Step:
        if norm is None:
            return signal, lambda delta: delta
        by_batch = norm.kind == "batch_norm"
        length = signal.spread if by_batch else signal.square
        if norm.kind == "layer_norm":
            length = length - signal.offset
        image = length.ndim == 2  # of images the mean runs over the pixels too, of sequences over each step
        scale = (np.full_like(length, length.mean()) if image else length) + norm.eps
        if not by_batch:
            factor = group_factor(norm, units, length.size if image else 1)
        else:
            # Of images every pixel counts as a case.
            cases = self.batch_size * signal.spread.size
            factor = 1.0 if signal.below is None else batch_factor(signal.below, cases)
        normal, through = length / scale, factor / scale
        nothing = np.zeros_like(normal)
        out = replace(signal, spread=normal, common=nothing, offset=nothing, known=True, below=None)
        return out, lambda delta: delta.with_square(delta.square * through)

    def normalise_alone(self, node: plan.Normalise, signal: Signal) -> Step:
        out, through = self.normalise(node.norm, signal, node.units)

        def back(delta: Delta) -> Delta:
            return through(delta if node.shows is None else self.record(node.shows, delta))

        return out, back

    # --- sums ---------------------------------------------------------------------------------------------------

    def residual(self, node: plan.Residual, signal: Signal) -> Step:
        body, into_body = self.chain(node.body, signal)
        beside, into_shortcut = self.chain(node.shortcut, signal)
        kept, added, gated = _shares(node, beside.square, body.square)
        out = Signal(
            kept * beside.spread + added * body.spread,
            kept * beside.common + added * body.common,
            kept * beside.offset + added * body.offset,
            beside.gaussian and body.gaussian,
            beside.known and body.known,
        )
        if beside.alike is not None and body.alike is not None:
            out = replace(out, alike=cosines(kept * beside.covariance + added * body.covariance))

        def back(delta: Delta) -> Delta:
            delta = self.record(node.shows, delta)
            # δ² goes into the branch and past it; what comes back is independent, so mean squares add.
            through = into_body(delta.with_square(added * delta.square))
            return into_shortcut(delta.with_square((kept + gated) * delta.square)).plus(through)

        return out, back

    def recurrence(self, node: plan.Recur, signal: Signal) -> Step:
        out, way_back = recur(node, signal)

        def back(delta: Delta) -> Delta:
            self.states[node.layer.name], entering = way_back(delta)
            return self.record(node.layer, entering)

        return out, back

    def one_by_one(self, _: plan.Steps, signal: Signal) -> Step:
        """The units of a vector, which were one place, become steps."""
        count = self.network.input.flat
        spread, common, offset = (np.repeat(part, count) for part in (signal.spread, signal.common, signal.offset))
        alike = toeplitz(self.network.input.alike, count)
        out = replace(signal, spread=spread, common=common, offset=offset, alike=alike)
        return out, lambda delta: replace(delta, square=delta.square.mean(keepdims=True), alike=None)


ALONE: Final = BETWEEN | {plan.Attend: attend}
"""Rules that need to know of nothing but their node and the signal."""
OF_LAYERS: Final[dict[type, Callable[[Pass, Any, Signal], Step]]] = {
    plan.Weigh: Pass.weigh,
    plan.Normalise: Pass.normalise_alone,
    plan.Residual: Pass.residual,
    plan.Recur: Pass.recurrence,
    plan.Steps: Pass.one_by_one,
}


def _shares(node: plan.Residual, beside: Array, body: Array) -> tuple[float, float, Array]:
    """What stream, branch and a gate's own weights contribute to mean squares on the way back; the first two forward.

    A gate's argument is N(b_T, σ_T²·q), apart from the branch: (1 − T)² and T² are means over it.
    """
    if node.gate is None:
        return 1.0, node.scale**2, np.zeros_like(beside)
    assert node.skip.kind == "highway"  # no other skip has a gate
    weight = layer_variance(node.gate).weight
    gate = gate_moments(float(f"{weight * beside.mean():.12g}"), node.skip.bias)
    return 1.0 - 2.0 * gate.mean + gate.square, gate.square, gate.slope * weight * (beside + body)
