"""The numbers behind a verdict, each against its threshold. Every function states one fact of one run."""

import math
from dataclasses import dataclass
from typing import Final

from models.analysis.gains.depth_axis import GradientFacts
from models.analysis.verdict.headline import FRACTION_LIMIT, worst
from models.analysis.verdict.measurements import NORMAL_QUANTILE
from models.analysis.verdict.shapes import Evidence, FirstNonfinite, Measured

TOTAL_GAIN: Final = "total_gain"
BELOW_HALF: Final = "loss_below_half_of_chance"
ABOVE_HALF: Final = "loss_above_half_of_chance"
AT_CHANCE: Final = "loss_at_chance"
BROKEN: Final = "loss_before_nonfinite"
ABOVE_CHANCE: Final = "loss_above_chance"
FIRST_NONFINITE: Final = "first_nonfinite"
STOPPED: Final = "last_loss"
WORST_LAYER: Final = "worst_hidden_layer"
SLOPE: Final = "median_rms_slope"
PREDICTED: Final = "predicted_total_gain"
LOWEST: Final = "smallest_layer"
INPUTS: Final = "first_layer_rms"
LARGEST_STEP: Final = "median_of_largest_steps"
START: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Where:
    """A signal, the layers it was read in, and the steps."""

    signal: str
    layers: tuple[str, ...]
    steps: tuple[int, int] | None


def always(
    measured: Measured, at_start: GradientFacts, at_end: GradientFacts | None, loss_above: float | None
) -> list[Evidence]:
    """What every verdict rests on: both total gains, the loss rule, and where a diverged run broke."""
    found = [gain(measured, at_start, START)]
    if at_end is not None and measured.end_steps is not None:
        found.append(gain(measured, at_end, measured.end_steps))
    if measured.trained is not None:
        found.append(final_loss(measured))
    if measured.diverged and measured.first_nonfinite is not None:
        found.append(_broken(measured.first_nonfinite))
    if measured.facts.stopped_by == "loss_above" and loss_above is not None:
        where = Where("loss", (), (measured.last_step, measured.last_step))
        found.append(above(where, STOPPED, measured.last_loss, loss_above))
    return found


def gain(measured: Measured, facts: GradientFacts, steps: tuple[int, int] | None) -> Evidence:
    """G against the nearer limit of its kind of network."""
    return gain_against(measured, steps, TOTAL_GAIN, facts.total_gain.mean)


def predicted_gain(measured: Measured, value: float) -> Evidence:
    return gain_against(measured, None, PREDICTED, value)


def final_loss(measured: Measured) -> Evidence:
    """The loss against the side of the ``trained`` rule that decided; the margin says by how much."""
    loss, error, chance = measured.final_loss, measured.loss_error, measured.facts.chance_level
    assert loss is not None  # ``trained`` is known
    assert error is not None
    where = Where("loss", (), measured.end_steps)
    if measured.trained == "yes":
        return below(where, BELOW_HALF, loss, chance / 2.0)
    if measured.trained == "partly":
        return above(where, ABOVE_HALF, loss, chance / 2.0)
    limit = chance - NORMAL_QUANTILE * error
    # A run that was learning and then broke is not trained either, but not because of this number.
    return above(where, AT_CHANCE if loss >= limit else BROKEN, loss, limit)


def loss_above_chance(measured: Measured) -> Evidence | None:
    """The loss where it lies above chance by more than its noise: training has made it worse."""
    if measured.final_loss is None or measured.loss_error is None:
        return None
    limit = measured.facts.chance_level + NORMAL_QUANTILE * measured.loss_error
    where = Where("loss", (), measured.end_steps)
    return above(where, ABOVE_CHANCE, measured.final_loss, limit) if measured.final_loss > limit else None


def worst_fraction(signal: str, measured: Measured, fractions: tuple[float, ...]) -> Evidence | None:
    """The hidden layer with the largest fraction, where it exceeds one half."""
    index, value = worst(fractions)
    where = Where(signal, (measured.hidden[index],), measured.end_steps or START)
    return above(where, WORST_LAYER, value, FRACTION_LIMIT) if value > FRACTION_LIMIT else None


def slope(measured: Measured, value: float, limit: float) -> Evidence:
    return below(Where("activation_rms", measured.hidden, START), SLOPE, value, limit)


def underflow(measured: Measured, layer: int, level: float, limit: float, steps: tuple[int, int] | None) -> Evidence:
    """The smallest rms δ of a hidden layer, from its logarithm."""
    where = Where("activation_gradient_rms", (measured.hidden[layer],), steps)
    return below(where, LOWEST, math.exp(level), limit)


def first_layer(measured: Measured, limit: float) -> Evidence:
    """rms h of the first hidden layer at the start, from its logarithm: what the inputs bring."""
    where = Where("activation_rms", (measured.hidden[0],), START)
    return above(where, INPUTS, math.exp(measured.forward[0]), limit)


def large_update(measured: Measured, limit: float) -> Evidence:
    where = Where("update_ratio", measured.hidden, (0, measured.last_step))
    return above(where, LARGEST_STEP, measured.largest_update, limit)


def gain_against(measured: Measured, steps: tuple[int, int] | None, statistic: str, value: float | None) -> Evidence:
    """A total gain against the nearer limit; ±3 also where the outcomes of this kind do not confirm one."""
    where = Where("activation_gradient_rms", (measured.hidden[0], measured.hidden[-1]), steps)
    limit = measured.depth_cut.nearest(value or 0.0)
    margin = None if value is None else abs(value) - abs(limit)
    return _evidence(where, statistic, value, limit, margin)


def _broken(place: FirstNonfinite) -> Evidence:
    where = Where("nonfinite_count", (place.layer,), (place.step, place.step))
    return _evidence(where, f"{FIRST_NONFINITE}_{place.where}", None, 0.0, None)


def above(where: Where, statistic: str, value: float, threshold: float) -> Evidence:
    """A value that counts where it is above its threshold."""
    return _evidence(where, statistic, value, threshold, value - threshold)


def below(where: Where, statistic: str, value: float, threshold: float) -> Evidence:
    """A value that counts where it is below its threshold."""
    return _evidence(where, statistic, value, threshold, threshold - value)


def beyond(where: Where, statistic: str, value: float, threshold: float, *, upward: bool) -> Evidence:
    """A value that counts beyond its threshold, on the side that ``upward`` names."""
    return above(where, statistic, value, threshold) if upward else below(where, statistic, value, threshold)


def _evidence(where: Where, statistic: str, value: float | None, threshold: float, margin: float | None) -> Evidence:
    return Evidence(
        signal=where.signal,
        layers=where.layers,
        steps=where.steps,
        statistic=statistic,
        value=value,
        threshold=threshold,
        margin=margin,
    )
