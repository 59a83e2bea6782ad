"""Total gains, measured and predicted, against the limits of their kind of network."""

from typing import Final

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import START, Fact, Reading, above, below
from gradient_clinic.verdict.shapes import Evidence, Measured
from gradient_clinic.verdict.wording import number, steps_words

SIGNAL: Final = "activation_gradient_rms"


def against_cut(measured: Measured, gain: float | None, steps: tuple[int, int] | None) -> Reading:
    """G against the nearer limit of its kind of network; ±3 also where the outcomes of this kind confirm none."""
    limit = measured.depth_cut.nearest(gain or 0.0)
    margin = None if gain is None else abs(gain) - abs(limit)
    return Reading(gain, limit, margin, (measured.hidden[0], measured.hidden[-1]), steps)


def _at_start(case: Case) -> Reading | None:
    if not case.at_start.judged:
        return None
    return against_cut(case.measured, case.at_start.total_gain.mean, START)


def _at_end(case: Case) -> Reading | None:
    steps, facts = case.measured.end_steps, case.at_end
    if facts is None or steps is None or not facts.judged:
        return None
    return against_cut(case.measured, facts.total_gain.mean, steps)


def _predicted(case: Case) -> Reading | None:
    theory = case.setup.predicted_gain
    return None if theory is None else against_cut(case.measured, theory, None)


CALLED_GAIN: Final = "G"
AT_START: Final = Fact(SIGNAL, "total_gain", _at_start, called=CALLED_GAIN)
AT_END: Final = Fact(SIGNAL, "total_gain", _at_end, called=CALLED_GAIN)
PREDICTED: Final = Fact(SIGNAL, "predicted_total_gain", _predicted)


# --- a gain without a name ------------------------------------------------------------------------------------------


def _left_open(case: Case) -> Reading | None:
    """A G of the depth axis beyond ±3 where training outcomes of this kind of network confirm no cut."""
    gain = case.at_start.total_gain.mean
    return None if gain is None or not case.measured.depth_cut.leaves_open(gain) else _at_start(case)


def _left_open_words(item: Evidence) -> str:
    open_cut = "and training outcomes of this kind of network confirm no cut there"
    return f"G = {number(item.value, signed=True)} at the start is beyond ±3, {open_cut}"


LEFT_OPEN: Final = Fact(SIGNAL, "total_gain_without_confirmed_cut", _left_open, _left_open_words)


def _over_time(case: Case) -> Reading | None:
    """The time axis furthest beyond ±3: a name for its gain, by which outcomes alone cannot be told (decision 12)."""
    known = [(its, its.total_gain.mean) for its in case.at_start.time if its.total_gain.mean is not None]
    layer, gain = max(((its.layer, gain) for its, gain in known), key=lambda its: abs(its[1]), default=("", 0.0))
    if abs(gain) <= LIMIT:
        return None
    return above(gain, LIMIT, (layer,), START) if gain > 0 else below(gain, -LIMIT, (layer,), START)


def _over_time_words(item: Evidence) -> str:
    return (
        f"over time ±3 names a gain ({item.layers[0]}: {number(item.value, signed=True)}) and foretells no outcome. "
        "Networks beyond it were seen to train: gated ones, and where early steps do not matter"
    )


OVER_TIME_ALONE: Final = Fact(
    SIGNAL, "total_gain_over_time", _over_time, _over_time_words, called="G back through time"
)


# --- where the start is an exception --------------------------------------------------------------------------------


def _after_first_steps(case: Case) -> Reading | None:
    its = case.measured
    return None if case.settled is None else against_cut(its, case.settled.total_gain.mean, its.settled_steps)


def _after_zero(case: Case) -> Reading | None:
    """Weights start at zero on purpose, and so does δ."""
    return _after_first_steps(case) if case.measured.zero_start else None


def _after_transient(case: Case) -> Reading | None:
    """Batch norm's gradients lie beyond the cut at step 0 and inside it soon after."""
    return _after_first_steps(case) if case.settles and not case.measured.zero_start else None


def _after_zero_words(item: Evidence) -> str:
    return f"weights start at zero, so G is read again once they have moved: {_settled_words(item)}"


def _after_transient_words(item: Evidence) -> str:
    return f"under batch norm the start is a transient, and no cause: {_settled_words(item)}"


def _settled_words(item: Evidence) -> str:
    return f"{number(item.value, signed=True)} at {steps_words(item.steps)}"


AFTER_ZERO: Final = Fact(SIGNAL, "total_gain_after_zero_start", _after_zero, _after_zero_words)
AFTER_TRANSIENT: Final = Fact(SIGNAL, "total_gain_after_transient", _after_transient, _after_transient_words)
