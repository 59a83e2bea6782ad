"""From a trace to the few numbers that every rule reads. No rule is applied here but that of ``trained``.

Windows: the start is record 0, the untrained network; the end is the last tenth of the steps
before the first non-finite value, or before the run's end: those recorded among them, at least one. Between them lie
the settled steps, where what only the start was is over: steps 10 to 19, or the first recorded one after them.
"""

import math
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gradient_clinic.layers import Layer
from gradient_clinic.quadrature import gaussian_moments
from gradient_clinic.values import Array
from gradient_clinic.verdict.digest import trace_digest
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import FirstNonfinite, Measured, RunFacts, TimeLevels, Trained

NORMAL_QUANTILE: Final = 1.96
LARGEST_RMS: Final = 1e6
"""Beyond it every φ is its two asymptotes, and squares stay far from overflow."""
SETTLED: Final = (10, 19)
"""Steps by which batch norm has settled and branches that start at zero have moved: ten of them."""

Records = npt.NDArray[np.int64]


def steps_read(facts: RunFacts, every: int, broken: int | None, last: int) -> list[tuple[int, int]]:
    """The steps that ``measure`` looks at, as stretches (first, last) that may overlap; it needs no others.

    ``every``: each so many steps one was recorded; ``broken``: the first non-finite one; ``last``: the last one.
    """
    counted = _steps_counted(facts, broken, last)
    nearest = (counted - 1) // every * every
    window = (min(counted - counted // 10, nearest), counted - 1)
    settled = _settled_steps(every)
    stretches = [(0, 0), settled, window, (last, last), *([] if broken is None else [(broken, broken)])]
    return [(max(first, 0), min(end, last)) for first, end in stretches if end >= 0 and first <= last]


def measure(trace: RunTrace, facts: RunFacts) -> Measured:
    """All that the rules need of one run. Never raises on NaN, ±∞ or zeros in the trace.

    A trace of the steps that ``steps_read`` names, with ``largest_update``, measures the same as the whole.
    """
    rows = np.array([i for i, layer in enumerate(trace.layers) if layer.role == "hidden"], dtype=np.int64)
    hidden = [trace.layers[row] for row in rows]
    norms = {layer.normalization for layer in hidden if layer.normalization is not None}
    broken = _nonfinite_records(trace)
    start, last_step = np.array([0]), int(trace.steps[-1])
    asked = facts.steps_asked > 0
    counted = _steps_counted(facts, _first_step(trace, broken), last_step)
    window = end_window(trace.steps, counted) if asked else start
    settled = _settled_records(trace.steps, counted) if asked else start[:0]
    loss, error = _final_loss(trace, window) if asked else (None, None)
    fall, fall_error = _fall(trace, window) if asked else (None, None)
    zero_start = any(layer.scale == 0.0 for layer in trace.layers)
    rms = _measured_gradients(trace, zero_start=zero_start)
    updates = _largest_updates(trace)
    ends = np.array([np.argmax(broken) if broken.any() else 0, len(trace.steps) - 1])
    return Measured(
        hidden=tuple(layer.name for layer in hidden),
        batch_norm="batch_norm" in norms,
        normalized=bool(norms),
        start=_over(log_median, rms, rows, start),
        end=_over(log_median, rms, rows, window) if asked else None,
        end_steps=_span(trace.steps, window) if asked else None,
        settled=_over(log_median, rms, rows, settled) if settled.size else None,
        settled_steps=_span(trace.steps, settled),
        output_start=log_median(rms[-1, start]) if trace.layers else math.nan,
        forward=_over(log_median, trace.signals["activation_rms"], rows, start),
        zero_start=zero_start,
        resized=tuple(layer.resized for layer in hidden),
        recurrent=_time_levels(trace, start, window if asked else None),
        slope_at_start=_slopes(hidden, trace.signals["activation_rms"][rows, 0]),
        dead=_over(_finite_median, trace.signals["dead_fraction"], rows, window),
        saturated=_over(_finite_median, trace.signals["saturated_fraction"], rows, window),
        dead_at_start=_over(_finite_median, trace.signals["dead_fraction"], rows, start),
        weights_left=_weights_left(trace, rows, window),
        largest_update=_finite_median(updates[rows]),
        first_loss=float(trace.curves["loss"][0]),
        final_loss=loss,
        loss_error=error,
        loss_fall=fall,
        loss_fall_error=fall_error,
        trained=_trained(trace, window, facts, broken) if asked else None,
        first_nonfinite=first_nonfinite(trace),
        last_step=last_step,
        last_loss=float(trace.curves["loss"][-1]),
        facts=facts,
        trace_digest=trace_digest(trace, np.unique(np.concatenate([start, settled, window, ends])), updates, facts),
    )


def end_window(steps: Records, counted: int) -> Records:
    """The records in the last ⌊counted/10⌋ steps before step ``counted``; else the last before it, if any."""
    chosen = np.flatnonzero((steps >= counted - counted // 10) & (steps < counted))
    return chosen if chosen.size else np.flatnonzero(steps < counted)[-1:]


def _settled_steps(every: int) -> tuple[int, int]:
    """The first and the last step that may be read, where each ``every``-th one was recorded."""
    first = -(-SETTLED[0] // every) * every
    return first, max(first, SETTLED[1])


def _settled_records(steps: Records, counted: int) -> Records:
    """Those before step ``counted`` in the settled steps, or the first behind them; none in a run that is shorter."""
    later = np.flatnonzero((steps >= SETTLED[0]) & (steps < counted))
    return later[steps[later] <= max(SETTLED[1], int(steps[later[0]]))] if later.size else later


def _span(steps: Records, records: Records) -> tuple[int, int] | None:
    return (int(steps[records[0]]), int(steps[records[-1]])) if records.size else None


def _measured_gradients(trace: RunTrace, *, zero_start: bool) -> Array:
    """rms δ, where a zero that an initialisation makes on purpose counts as not measured until step 10."""
    rms = trace.signals["activation_gradient_rms"]
    if not zero_start:
        return rms
    return np.where((rms == 0.0) & (trace.steps < SETTLED[0]), np.nan, rms)


def _trained(trace: RunTrace, window: Records, facts: RunFacts, broken: npt.NDArray[np.bool_]) -> Trained | None:
    """None where a log allows no answer: its last record is the first, which stands for chance; or its loss falls below
    zero, so that there is no way from chance to zero.
    """
    log = facts.log
    if log is not None and not broken[-1] and (log.lowest_loss < 0.0 or (log.from_first_loss and 0 in window)):
        return None
    return trained(*_final_loss(trace, window), facts, broken)


def trained(loss: float, error: float, facts: RunFacts, broken: npt.NDArray[np.bool_]) -> Trained:
    """Whether the run has trained. One whose last step was non-finite is not trained, whatever it was before."""
    if not math.isfinite(loss) or broken[-1] or facts.stopped_by == "nonfinite_steps":
        return "no"
    if loss <= facts.chance_level / 2.0:
        return "yes"
    return "partly" if facts.chance_level - loss > NORMAL_QUANTILE * error else "no"


def first_nonfinite(trace: RunTrace) -> FirstNonfinite | None:
    """The earliest record; there the first layer with a non-finite h, else the first from the output down."""
    broken = np.flatnonzero(_nonfinite_records(trace))
    if not broken.size:
        return None
    record = broken[0]
    if not trace.layers:
        where: Literal["forward", "backward"] = "backward" if np.isfinite(trace.curves["loss"][record]) else "forward"
        return FirstNonfinite(step=int(trace.steps[record]), layer=None, where=where)
    names = [layer.name for layer in trace.layers]
    forward = np.flatnonzero(~np.isfinite(trace.signals["activation_rms"][:, record]))
    backward = np.flatnonzero(_nonfinite_layers(trace)[:, record])
    step = int(trace.steps[record])
    if forward.size or not backward.size:  # neither: the loss alone, which follows the last layer's h
        return FirstNonfinite(step=step, layer=names[forward[0] if forward.size else -1], where="forward")
    return FirstNonfinite(step=step, layer=names[backward[-1]], where="backward")


def log_median(rms: Array) -> float:
    """Median of ln rms over the finite records, 0 counting as −∞. None finite: +∞ where it overflowed, else NaN."""
    finite = rms[np.isfinite(rms)]
    if not finite.size:
        return math.inf if np.isposinf(rms).any() else math.nan
    with np.errstate(divide="ignore"):
        return _median(np.log(finite))


def _time_levels(trace: RunTrace, start: Records, window: Records | None) -> tuple[TimeLevels, ...]:
    found = []
    for layer in dict.fromkeys(point.layer for point in trace.time):
        rows = np.array([row for row, point in enumerate(trace.time) if point.layer == layer])
        found.append(
            TimeLevels(
                layer=layer,
                steps=tuple(trace.time[row].step for row in rows),
                start=_over(log_median, trace.state_gradient_rms, rows, start),
                end=None if window is None else _over(log_median, trace.state_gradient_rms, rows, window),
            )
        )
    return tuple(found)


def _over(statistic: Callable[[Array], float], values: Array, rows: Records, records: Records) -> tuple[float, ...]:
    """Row by row: a window of a long run is copied for one layer at a time."""
    return tuple(statistic(values[row, records]) for row in rows)


def _finite_median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return _median(finite) if finite.size else math.nan


def _median(values: Array) -> float:
    """Of at least one value, none of them NaN. It is ``np.median`` to the bit, which takes five times as long for few
    values, and a verdict asks for hundreds.
    """
    ordered, half = np.sort(values), values.size // 2
    return float(ordered[half] if values.size % 2 else (ordered[half - 1] + ordered[half]) / 2.0)


def finite_maximum(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else math.nan


def _weights_left(trace: RunTrace, rows: Records, window: Records) -> float:
    """Weights that start at zero have nothing to lose, and do not count. Where no hidden layer has weights of its own,
    as a fused one, those beside the depth axis do.
    """
    beside = np.array([row for row, layer in enumerate(trace.layers) if layer.role == "branch"], dtype=np.int64)
    for chosen in (rows, beside):
        norms = trace.signals["weight_norm"][chosen]
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.array([_finite_median(row[window]) / row[0] for row in norms])
        if np.isfinite(left).any():
            return _finite_median(left)
    return 1.0


def _largest_updates(trace: RunTrace) -> Array:
    if trace.largest_update is not None:
        return trace.largest_update
    return np.array([finite_maximum(row) for row in trace.signals["update_ratio"]])


def _nonfinite_layers(trace: RunTrace) -> npt.NDArray[np.bool_]:
    signals = trace.signals
    # The count is of entries; a root mean square may overflow where every entry is finite.
    return np.asarray((signals["nonfinite_count"] != 0) | ~np.isfinite(signals["activation_gradient_rms"]))


def _nonfinite_records(trace: RunTrace) -> npt.NDArray[np.bool_]:
    forward = ~np.isfinite(trace.signals["activation_rms"])
    broken = (_nonfinite_layers(trace) | forward).any(axis=0) | ~np.isfinite(trace.curves["loss"])
    # Layers show the same, and where: a log has the norm of all of them alone.
    norm = None if trace.layers else trace.curves.get("total_gradient_norm")
    return np.asarray(broken if norm is None else broken | ~np.isfinite(norm))


def _first_step(trace: RunTrace, broken: npt.NDArray[np.bool_]) -> int | None:
    return int(trace.steps[np.flatnonzero(broken)[0]]) if broken.any() else None


def _steps_counted(facts: RunFacts, broken: int | None, last: int) -> int:
    """How many steps lie before the first non-finite value (unless it was skipped), or before the end."""
    if facts.outcome == "diverged" and broken is not None:
        return broken
    return facts.steps_asked if facts.stopped_by is None else last + 1


def _final_loss(trace: RunTrace, window: Records) -> tuple[float, float]:
    """(mean, standard error). One batch has no error of its own: 0, so that the point value decides."""
    losses = trace.curves["loss"][window]
    if not losses.size or not np.isfinite(losses).all():
        return math.nan, math.nan
    with np.errstate(over="ignore"):
        error = float(losses.std(ddof=1)) / math.sqrt(losses.size) if losses.size > 1 else 0.0
        return float(losses.mean()), error


def _fall(trace: RunTrace, window: Records) -> tuple[float | None, float | None]:
    """Of the loss from the first half of the window to the other, and its standard error."""
    losses = trace.curves["loss"][window]
    half = losses.size // 2
    if half < 2 or not np.isfinite(losses).all():
        return None, None
    first, later = losses[:half], losses[-half:]
    with np.errstate(over="ignore", invalid="ignore"):
        error = math.sqrt((float(first.var(ddof=1)) + float(later.var(ddof=1))) / half)
        return float(first.mean() - later.mean()), error


def _slopes(hidden: list[Layer], rms: Array) -> tuple[float, ...]:
    return tuple(
        math.sqrt(gaussian_moments(layer.activation, min(float(value), LARGEST_RMS) ** 2).slope_square)
        if layer.activation is not None and math.isfinite(value)
        else math.nan
        for layer, value in zip(hidden, rms, strict=True)
    )
