"""One run before the rules: its numbers, and what is known of it before it starts."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradient_clinic.activations import Activation
from gradient_clinic.gains.depth_axis import GradientFacts, GradientKind, gradient_of_run
from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.gains.time_axis import time_of_run, with_time
from gradient_clinic.verdict.headline import headline
from gradient_clinic.verdict.shapes import Measured, RunKind


@dataclass(frozen=True, slots=True)
class Setup:
    """What the rules read of a run beside its numbers. Every run of a variant has the same.

    ``activation``: of the first layer that has one, the output aside. ``positions``: the most pixels or steps over
    which a readout may spread δ. ``loss_above``: the loss that stops a run. ``predicted_gain``: theory's G of the
    network, of the axis (depth or time) where it is furthest from 0.

    ``equal_units``: layers whose units all start with the same weights, and are not meant to. ``first_layer_gain``: rms
    h of the first layer over the rms of the inputs, √σw²; None under a norm and where it does not meet the inputs.
    ``weight_gains``: of every hidden layer with a bounded φ and no norm its √σw², and that which keeps signals in size;
    and of every layer on a branch that no norm follows, with 1.
    ``nearly_equal``: layers whose units start nearly so, with the spread of their weights as a share of their size.
    ``loss_scale``: what δ is multiplied by in float16; None in any other width.
    ``uncentred``: hidden layers behind the first whose weights have a mean; ``left_by_means``: what these leave of the
    square of the difference between two cases. ``decay``: what decay takes of a weight by the last step, an exponent; 0
    without any. ``cases_per_statistic``: the fewest numbers over which batch norm takes a mean; None without it.
    ``window``: steps of time after which the gradient is cut, of ``time_steps``; None where it is not. ``mean_rate``:
    what schedule and warm-up leave of the learning rate, as a mean over all steps.
    ``told_apart``, ``alike``: by theory, in the last hidden layer, what dropout leaves of the difference between two
    cases, and without dropout their correlation. ``bare_stream``: a residual stream meets the output without a norm.
    ``post_norm_blocks``: blocks of a transformer that normalise after the sum. ``warm_up``: steps over which the rate
    rises. ``values``: the targets are numbers, and the loss their squared error.
    """

    activation: Activation | None = None
    has_skips: bool = False
    positions: int = 1
    batch_size: int = 1
    loss_above: float | None = None
    predicted_gain: float | None = None
    equal_units: tuple[str, ...] = ()
    nearly_equal: tuple[tuple[str, float], ...] = ()
    loss_scale: float | None = None
    first_layer_gain: float | None = None
    weight_gains: tuple[tuple[str, float, float], ...] = ()
    told_apart: float | None = None
    alike: float | None = None
    bare_stream: bool = False
    uncentred: tuple[str, ...] = ()
    left_by_means: float = 1.0
    decay: float = 0.0
    cases_per_statistic: int | None = None
    window: int | None = None
    time_steps: int = 1
    mean_rate: float = 1.0
    post_norm_blocks: int = 0
    warm_up: int = 0
    values: bool = False


@dataclass(frozen=True)  # without slots: what several rules ask is computed once
class Case:
    setup: Setup
    measured: Measured

    @cached_property
    def at_start(self) -> GradientFacts:
        """The gradients of the untrained network, over depth and over time."""
        times = [time_of_run(its.layer, its.start, its.steps) for its in self.measured.recurrent]
        return with_time(self._over_depth(self.measured.start), times)

    @cached_property
    def at_end(self) -> GradientFacts | None:
        """The same over the end window; None where nothing was trained."""
        if self.measured.end is None:
            return None
        ends = ((its, its.end) for its in self.measured.recurrent)
        times = [time_of_run(its.layer, end, its.steps) for its, end in ends if end is not None]
        return with_time(self._over_depth(self.measured.end), times)

    @cached_property
    def settled(self) -> GradientFacts | None:
        """The same after the first steps, over depth alone."""
        return None if self.measured.settled is None else self._over_depth(self.measured.settled)

    def _over_depth(self, levels: tuple[float, ...]) -> GradientFacts:
        its = self.measured
        return gradient_of_run(levels, batch_norm=its.batch_norm, resized=its.resized, cut=its.depth_cut)

    @property
    def gains_on_axis(self) -> tuple[tuple[str, float, float], ...]:
        """Of ``weight_gains`` those of hidden layers, the depth axis."""
        return tuple(its for its in self.setup.weight_gains if its[0] in self.measured.hidden)

    @property
    def branches(self) -> tuple[str, ...]:
        """Layers on the branches of a transformer that have a gain; none where no norm bounds their stream, which long
        steps break. Weights that are zero on purpose do not count.
        """
        bounded = self.measured.network == "transformer" and not self.setup.bare_stream
        gains = self.setup.weight_gains if bounded else ()
        return tuple(name for name, gain, _ in gains if name not in self.measured.hidden and gain > 0.0)

    @cached_property
    def branch_gain(self) -> float | None:
        """Their median √σw² at the start; None for other networks."""
        known, branches = {name: gain for name, gain, _ in self.setup.weight_gains}, self.branches
        return float(np.median([known[name] for name in branches])) if branches else None

    @cached_property
    def kind(self) -> RunKind:
        return headline(self.measured, self.at_start, self.at_end)

    @property
    def settles(self) -> bool:
        """Whether batch norm's gradients started beyond the cut and were inside after the first steps."""
        sick = self.at_start.kind in {"vanishing", "exploding"}
        return self.measured.batch_norm and sick and self.settled is not None and self.settled.kind == "healthy"

    @cached_property
    def is_transient(self) -> bool:
        """Whether its start is one of batch norm's transients, and explains nothing of the end."""
        return self.settles and not self.ends_exploding

    @cached_property
    def starts_beyond(self) -> bool:
        """Beyond the cut, and not only before the first steps have put it right."""
        return self.at_start.kind in {"vanishing", "exploding"} and not self.is_transient

    @property
    def starts_beyond_over_depth(self) -> bool:
        """A recurrent network may be sick over time alone, which no skip over depth treats."""
        gain = self.at_start.total_gain.mean
        over_depth = gain is None or self.measured.depth_cut.is_beyond(gain)
        return self.starts_beyond and (not self.at_start.time or over_depth)

    @property
    def starts_inside(self) -> bool:
        """In range before the first step, its interval aside."""
        gain = self.at_start.total_gain.mean
        return self.at_start.kind == "healthy" or (not self.starts_beyond and gain is not None and abs(gain) < LIMIT)

    @property
    def over_time(self) -> GradientKind | None:
        """What the time axis of a recurrent layer shows at the start, where it is beyond the cut."""
        sick = [its for its in self.at_start.time if its.kind in {"vanishing", "exploding"}]
        worst_axis = max(sick, key=lambda its: abs(its.total_gain.mean or math.inf), default=None)
        return None if worst_axis is None else worst_axis.kind

    @property
    def ends_exploding(self) -> bool:
        return self.at_end is not None and self.at_end.kind == "exploding"

    @property
    def ever_exploding(self) -> bool:
        return self.ends_exploding or (self.at_start.kind == "exploding" and not self.is_transient)
