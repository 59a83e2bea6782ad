"""The numbers behind a verdict, each against its threshold. Every function states one fact of one run."""

import math
from typing import Final

from models.analysis.gradient import LIMIT, GradientFacts
from models.analysis.measurements import NORMAL_QUANTILE, Measured
from models.analysis.verdict import FRACTION_LIMIT, Evidence, worst

TOTAL_GAIN: Final = "total_gain"
HALF_OF_CHANCE: Final = "final loss against half of chance"
BELOW_CHANCE: Final = "final loss against chance less 1.96 standard errors"
ABOVE_CHANCE: Final = "final loss against chance plus 1.96 standard errors"
FIRST_NONFINITE: Final = "first non-finite value"
STOPPED: Final = "last loss against stop_when.loss_above"
WORST_LAYER: Final = "worst hidden layer"
SLOPE: Final = "median over layers of the activation's rms slope"
PREDICTED: Final = "predicted total_gain"
LOWEST: Final = "smallest over layers"
LARGEST_STEP: Final = "median over layers of the largest"
START: Final = (0, 0)


def always(measured: Measured, at_start: GradientFacts, at_end: GradientFacts | None, loss_above: float | None) -> list[Evidence]:
    """What every verdict rests on: both total gains, the loss rule, and where a diverged run broke."""
    found = [gain(measured, at_start, START)]
    if at_end is not None and measured.end_steps is not None:
        found.append(gain(measured, at_end, measured.end_steps))
    if measured.trained is not None:
        found.append(final_loss(measured))
    if measured.diverged and measured.first_nonfinite is not None:
        place = measured.first_nonfinite
        found.append(
            Evidence(
                signal="nonfinite_count",
                layers=(place.layer,),
                steps=(place.step, place.step),
                statistic=f"{FIRST_NONFINITE} ({place.where})",
                value=None,
                threshold=0.0,
                margin=None,
            )
        )
    if measured.facts.stopped_by == "loss_above" and loss_above is not None:
        last = (measured.last_step, measured.last_step)
        found.append(_beyond("loss", (), last, STOPPED, measured.last_loss, loss_above))
    return found


def gain(measured: Measured, facts: GradientFacts, steps: tuple[int, int]) -> Evidence:
    """G against the nearer of ±3."""
    ends = (measured.hidden[0], measured.hidden[-1])
    value = facts.total_gain.mean
    return Evidence(
        signal="activation_gradient_rms",
        layers=ends,
        steps=steps,
        statistic=TOTAL_GAIN,
        value=value,
        threshold=math.copysign(LIMIT, value or 0.0),
        margin=None if value is None else abs(value) - LIMIT,
    )


def final_loss(measured: Measured) -> Evidence:
    """The loss against the side of the ``trained`` rule that decided; a margin above 0 says by how much."""
    loss, error, chance = measured.final_loss, measured.loss_error, measured.facts.chance_level
    assert loss is not None and error is not None  # noqa: S101, PT018 -- ``trained`` is known
    if measured.trained == "yes":
        return _below("loss", (), measured.end_steps, HALF_OF_CHANCE, loss, chance / 2.0)
    if measured.trained == "partly":
        return _beyond("loss", (), measured.end_steps, HALF_OF_CHANCE, loss, chance / 2.0)
    return _beyond("loss", (), measured.end_steps, BELOW_CHANCE, loss, chance - NORMAL_QUANTILE * error)


def loss_above_chance(measured: Measured) -> Evidence | None:
    """The loss where it lies above chance by more than its noise: training has made it worse."""
    if measured.final_loss is None or measured.loss_error is None:
        return None
    limit = measured.facts.chance_level + NORMAL_QUANTILE * measured.loss_error
    if not measured.final_loss > limit:
        return None
    return _beyond("loss", (), measured.end_steps, ABOVE_CHANCE, measured.final_loss, limit)


def worst_fraction(signal: str, measured: Measured, fractions: tuple[float, ...]) -> Evidence | None:
    """The hidden layer with the largest fraction, where it exceeds one half."""
    index, value = worst(fractions)
    if value <= FRACTION_LIMIT:
        return None
    layers = (measured.hidden[index],)
    return _beyond(signal, layers, measured.end_steps or START, WORST_LAYER, value, FRACTION_LIMIT)


def slope(measured: Measured, value: float, limit: float) -> Evidence:
    return _below("activation_rms", measured.hidden, START, SLOPE, value, limit)


def predicted_gain(measured: Measured, value: float) -> Evidence:
    ends = (measured.hidden[0], measured.hidden[-1])
    limit = math.copysign(LIMIT, value)
    return Evidence(
        signal="activation_gradient_rms",
        layers=ends,
        steps=None,
        statistic=PREDICTED,
        value=value,
        threshold=limit,
        margin=abs(value) - LIMIT,
    )


def underflow(measured: Measured, layer: int, level: float, steps: tuple[int, int] | None, limit: float) -> Evidence:
    layers = (measured.hidden[layer],)
    return _below("activation_gradient_rms", layers, steps, LOWEST, math.exp(level), limit)


def large_update(measured: Measured, limit: float) -> Evidence:
    steps = (0, measured.last_step)
    return _beyond("update_ratio", measured.hidden, steps, LARGEST_STEP, measured.largest_update, limit)


def _beyond(
    signal: str, layers: tuple[str, ...], steps: tuple[int, int] | None, statistic: str, value: float, threshold: float
) -> Evidence:
    """A value that counts when it is above its threshold."""
    margin = value - threshold
    return Evidence(
        signal=signal, layers=layers, steps=steps, statistic=statistic, value=value, threshold=threshold, margin=margin
    )


def _below(
    signal: str, layers: tuple[str, ...], steps: tuple[int, int] | None, statistic: str, value: float, threshold: float
) -> Evidence:
    """A value that counts when it is below its threshold."""
    margin = threshold - value
    return Evidence(
        signal=signal, layers=layers, steps=steps, statistic=statistic, value=value, threshold=threshold, margin=margin
    )
