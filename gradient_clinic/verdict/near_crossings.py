"""The numbers that the rules compare, each with its thresholds, and the run's numbers with that one moved across."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np

from gradient_clinic.gains.limits import LIMIT, OVER_TIME, Cut
from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict import near_bands
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts import of_gains, of_layers, of_losses, of_setups, of_steps
from gradient_clinic.verdict.facts.fact import CORRELATION, FLAT_SLOPE, Fact
from gradient_clinic.verdict.facts.of_layers import (
    LARGE_INPUT,
    LEAST_WEIGHTS,
    SCALE_LIMIT,
    SMALLEST_NORMAL,
    share_off,
)
from gradient_clinic.verdict.facts.of_steps import SHORT_UPDATE, SMALL_UPDATE
from gradient_clinic.verdict.headline import FRACTION_LIMIT, worst
from gradient_clinic.verdict.measurements import NORMAL_QUANTILE
from gradient_clinic.verdict.near_bands import Bands, StartBands, bands_at_end, bands_at_start
from gradient_clinic.verdict.shapes import Bound, Measured, Near, Outcome, TimeLevels, Trained

Numbers = TypeVar("Numbers", Measured, TimeLevels)

ACROSS: Final = 1e-9
"""How far beyond its threshold a number is moved: seen by every comparison, and no step of its own."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A number, its threshold, and the run as it would have been measured on the other side.

    ``share_of_band``: the distance in units of what the number was seen to move.
    """

    rule: str
    layers: tuple[str, ...]
    fact: Fact
    value: float
    threshold: float
    share_of_band: float
    moved: Measured
    bound: Bound | None = None

    def near(self, would_be: Outcome) -> Near:
        return Near(
            rule=self.rule,
            layers=self.layers,
            statistic=self.fact.name,
            value=self.value,
            threshold=self.threshold,
            distance=abs(self.value - self.threshold),
            would_be=would_be,
            bound=self.bound,
        )


def crossings(case: Case) -> Iterator[Crossing]:
    """All of a run, near or not. What was not measured, or is not finite, has none."""
    start, end = bands_at_start(case.measured), _at_end(case)
    found = [*_of_loss(case.measured, end), *_of_gains(case, start, end), *_of_time(case.measured, end)]
    found += [*_of_layers(case, end), *_of_start(case, start), *_of_levels(case.measured, start, end)]
    found += _of_growth(case, end)
    yield from (its for its in found if math.isfinite(its.value) and math.isfinite(its.share_of_band))


def _at_end(case: Case) -> Bands:
    return bands_at_end(case.measured, starts_vanishing=case.at_start.kind == "vanishing")


def _beyond(value: float, threshold: float) -> float:
    """The other side of a threshold, just. A value that lies on it counts as below."""
    step = ACROSS * max(1.0, abs(threshold))
    return threshold - step if value > threshold else threshold + step


def _across(value: float, threshold: float) -> float:
    """The other side of a threshold that is read as a ratio, just."""
    return threshold * (1.0 - ACROSS) if value > threshold else threshold * (1.0 + ACROSS)


def _moved(numbers: Numbers, **changes: Any) -> Numbers:
    return replace(numbers, **changes)


# --- the loss -------------------------------------------------------------------------------------------------------


def _of_loss(measured: Measured, bands: Bands) -> Iterator[Crossing]:
    """Half of chance, chance less its noise, and chance with it. A run that broke is not trained whatever its loss."""
    loss, error, chance = measured.final_loss, measured.loss_error, measured.facts.chance_level
    if measured.trained is None or loss is None or error is None or not math.isfinite(loss):
        return
    if measured.trained != _trained(loss, error, chance):
        return
    noise = NORMAL_QUANTILE * error
    for rule, threshold, fact in (
        ("trained", chance / 2.0, of_losses.BELOW_HALF),
        ("trained", chance - noise, of_losses.AT_CHANCE),
        ("learning_rate", chance + noise, of_losses.ABOVE_CHANCE),
    ):
        other = _beyond(loss, threshold)
        moved = _moved(measured, final_loss=other, trained=_trained(other, error, chance))
        yield Crossing(rule, (), fact, loss, threshold, abs(loss - threshold) / chance / bands.loss, moved)


def _trained(loss: float, error: float, chance: float) -> Trained:
    if loss <= chance / 2.0:
        return "yes"
    return "partly" if chance - loss > NORMAL_QUANTILE * error else "no"


# --- G --------------------------------------------------------------------------------------------------------------


def _of_gains(case: Case, start: StartBands, end: Bands) -> Iterator[Crossing]:
    """Both limits and the mean of G at the start, after the first steps and at the end, against every cut."""
    measured = case.measured
    settled = case.settled if measured.batch_norm else None
    for rule, field, facts, band in (
        ("at_start", "start", case.at_start, start.gain),
        ("settled", "settled", settled, end.gain),
        ("at_end", "end", case.at_end, end.gain),
    ):
        if facts is None:
            continue
        levels = getattr(measured, field)
        where = (measured.hidden[0], measured.hidden[-1])
        for bound, value, threshold in _pairs(facts.total_gain, measured.depth_cut):
            moved = _moved(measured, **{field: _tilted(levels, _beyond(value, threshold) - value)})
            share = abs(value - threshold) / band
            yield Crossing(rule, where, of_gains.AT_START, value, threshold, share, moved, bound)


def _pairs(gain: Estimate, cut: Cut) -> Iterator[tuple[Bound, float, float]]:
    """Every number of the interval against every limit; of one that is a point, the mean alone."""
    limits = {limit for limit in (cut.vanishing, cut.exploding, -LIMIT, LIMIT) if limit is not None}
    if gain.mean is None:
        return
    ends: tuple[tuple[Bound, float | None], ...] = (("low", gain.low), ("high", gain.high))
    apart = [(bound, end) for bound, end in ends if end is not None and not math.isclose(end, gain.mean)]
    for bound, value in [("mean", gain.mean), *apart]:
        yield from ((bound, value, limit) for limit in sorted(limits))


def _tilted(levels: Sequence[float], by: float) -> tuple[float, ...]:
    """Levels whose G is larger by so much, and every bound of its interval with it."""
    return tuple((np.asarray(levels) + by * np.linspace(1.0, 0.0, len(levels))).tolist())


def _of_time(measured: Measured, bands: Bands) -> Iterator[Crossing]:
    for index, layer in enumerate(measured.recurrent):
        for rule, field, levels, band in (
            ("at_start", "start", layer.start, near_bands.START_TIME),
            ("at_end", "end", layer.end, bands.gain),
        ):
            if levels is None:
                continue
            known = [level for level in levels if not math.isnan(level)]
            gain = known[0] - known[-1] if known and math.isfinite(known[-1]) else math.nan
            limits = (OVER_TIME.vanishing, OVER_TIME.exploding) if math.isfinite(gain) else ()
            for threshold in limits:
                if threshold is None:
                    continue
                tilted = _moved(layer, **{field: _tilted(levels, _beyond(gain, threshold) - gain)})
                moved = _moved(measured, recurrent=_replaced(measured.recurrent, index, tilted))
                share = abs(gain - threshold) / band
                yield Crossing(rule, (layer.layer,), of_gains.OVER_TIME_ALONE, gain, threshold, share, moved)


def _replaced(layers: Sequence[TimeLevels], index: int, layer: TimeLevels) -> tuple[TimeLevels, ...]:
    return (*layers[:index], layer, *layers[index + 1 :])


# --- layers at the end ----------------------------------------------------------------------------------------------


def _of_layers(case: Case, bands: Bands) -> Iterator[Crossing]:
    """Dead units, saturated entries, the largest steps."""
    measured = case.measured
    for fact, field, fractions in (
        (of_layers.DEAD, "dead", measured.dead),
        (of_layers.SATURATED, "saturated", measured.saturated),
    ):
        index, value = worst(fractions)
        # All layers that may cross go together: below one half is a run where none lies above.
        other = _beyond(value, FRACTION_LIMIT)
        down = value > FRACTION_LIMIT
        moved = tuple(min(its, other) if down else its for its in fractions)
        moved = moved if down else (*moved[:index], other, *moved[index + 1 :])
        share = abs(value - FRACTION_LIMIT) / bands.fraction
        where, changed = (measured.hidden[index],), _moved(measured, **{field: moved})
        yield Crossing(fact.signal, where, fact, value, FRACTION_LIMIT, share, changed)
    if measured.weights_left > 0.0:
        share = abs(math.log(measured.weights_left / LEAST_WEIGHTS)) / bands.update
        moved_left = _moved(measured, weights_left=_across(measured.weights_left, LEAST_WEIGHTS))
        told = of_layers.WEIGHTS_LEFT, measured.weights_left, LEAST_WEIGHTS
        yield Crossing("weight_decay", measured.hidden, *told, share, moved_left)
    update = measured.largest_update
    limits = {
        of_steps.LARGEST_STEP: of_steps.long_step(case),
        of_steps.SMALL_STEP: SMALL_UPDATE,
        of_steps.SHORT_STEP: SHORT_UPDATE,
    }
    for fact, threshold in limits.items():
        share = abs(math.log(update / threshold)) / bands.update if update > 0.0 else math.inf
        moved_step = _moved(measured, largest_update=_across(update, threshold))
        yield Crossing("learning_rate", measured.hidden, fact, update, threshold, share, moved_step)


def _of_growth(case: Case, bands: Bands) -> Iterator[Crossing]:
    """What the weights have grown to. What they start at is known exactly."""
    measured, size = case.measured, of_setups.gain_at_end(case)
    if not 0.0 < size < math.inf:
        return
    share = abs(math.log(size / of_setups.GROWN)) / bands.update
    moved = _moved(measured, weights_left=_across(size, of_setups.GROWN) / size * measured.weights_left)
    told = of_setups.END_GAIN, size, of_setups.GROWN
    yield Crossing("initialisation", measured.hidden, *told, share, moved)


def _of_levels(measured: Measured, start: StartBands, end: Bands) -> Iterator[Crossing]:
    """The smallest rms δ against the smallest normal number of float32."""
    limit = math.log(SMALLEST_NORMAL)
    for field, band in (("start", start.level), ("end", end.level)):
        levels: tuple[float, ...] | None = getattr(measured, field)
        known = [level for level in levels or () if not math.isnan(level)]
        if levels is None or not known:
            continue
        lowest, layer = min(known), int(np.nanargmin(levels))
        other = _beyond(lowest, limit)
        moved = tuple(max(level, other) if lowest < limit else level for level in levels)
        moved = moved if lowest < limit else (*moved[:layer], other, *moved[layer + 1 :])
        share, where = abs(lowest - limit) / band, (measured.hidden[layer],)
        changed = _moved(measured, **{field: moved})
        yield Crossing("numeric_range", where, of_layers.LOWEST, math.exp(lowest), SMALLEST_NORMAL, share, changed)


# --- the untrained network ------------------------------------------------------------------------------------------


def _of_start(case: Case, bands: StartBands) -> Iterator[Crossing]:
    measured = case.measured
    if measured.forward:
        value, limit = measured.forward[0], math.log(LARGE_INPUT)
        moved = _moved(measured, forward=(_beyond(value, limit), *measured.forward[1:]))
        share = abs(value - limit) / near_bands.SLOPE
        first = (measured.hidden[0],)
        yield Crossing("numeric_range", first, of_layers.INPUTS, _exp(value), LARGE_INPUT, share, moved)
        yield from _of_inputs(case)
    slopes = measured.slope_at_start
    yield from _shifted(
        measured,
        "slope_at_start",
        slopes,
        ("saturating_activation", of_layers.SLOPE),
        FLAT_SLOPE,
        near_bands.SLOPE,
    )
    off = measured.dead_at_start
    threshold = share_off(CORRELATION, case.setup.batch_size)
    rule = ("depth_without_skip", of_layers.OFF_AT_START)
    yield from _shifted(measured, "dead_at_start", off, rule, threshold, near_bands.OFF)
    levels = [level for level in measured.start if math.isfinite(level)]
    if levels and math.isfinite(measured.output_start):
        value = float(np.median(levels)) - measured.output_start
        limit = SCALE_LIMIT if value > 0 else -SCALE_LIMIT - math.log(case.setup.positions)
        moved = _moved(measured, output_start=measured.output_start - (_beyond(value, limit) - value))
        share = abs(value - limit) / bands.scale
        yield Crossing("initialisation", measured.hidden, of_layers.SCALE, value, limit, share, moved)


def _of_inputs(case: Case) -> Iterator[Crossing]:
    """The rms of the inputs, as the first layer's h tells it, against both of its limits."""
    measured, size = case.measured, of_setups.input_rms(case)
    if not 0.0 < size < math.inf:
        return
    for limit in (of_setups.LARGE_INPUTS, of_setups.SMALL_INPUTS):
        distance = math.log(size / limit)
        level = measured.forward[0] + _beyond(distance, 0.0) - distance
        moved = _moved(measured, forward=(level, *measured.forward[1:]))
        share = abs(distance) / near_bands.SLOPE
        yield Crossing("input_scale", measured.hidden[:1], of_setups.INPUT_SCALE, size, limit, share, moved)


def _shifted(  # noqa: PLR0913, PLR0917 -- a median and all that says where it stands
    measured: Measured,
    field: str,
    values: Sequence[float],
    rule: tuple[str, Fact],
    threshold: float,
    band: float,
) -> Iterator[Crossing]:
    """A median over layers, moved with all of them."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return
    value = float(np.median(known))
    by = _beyond(value, threshold) - value
    moved = _moved(measured, **{field: tuple(its + by for its in values)})
    yield Crossing(rule[0], measured.hidden, rule[1], value, threshold, abs(value - threshold) / band, moved)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf
