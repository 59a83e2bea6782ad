"""Numbers and names in words: what every sentence of the analysis is built from."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from gradient_clinic.gains.depth_axis import OVER_INCREMENTS, GradientFacts, GradientKind, TimeFacts
from gradient_clinic.intervals import Estimate

MOST_SPANS = 4
DIGITS = 3
MOST_DIGITS = 15
"""Of a float64."""
KNOWN_DIGITS = 2
"""Of half an interval."""
MOST_PLACES = 300
LARGE = 1e6
"""From where on a number has an exponent."""
MOST_NAMED = 4
"""Layers named in a sentence; the evidence has all of them."""
TOLD = {
    "activation": "function",
    "dropout": "p",
    "init": "init",
    "learning_rate": "value",
    "optimizer": "optimizer",
    "warm_up": "steps",
}
"""What a remedy of these kinds is, beside its name."""
OF_WHAT = {"scaled": "(residual branches)"}
"""What these kinds, which are adjectives, are of."""


def number(value: float | None, digits: int = DIGITS, *, signed: bool = False) -> str:
    """Significant digits with a real minus sign; 'not finite' for null."""
    if value is None or not math.isfinite(value):
        return "not finite"
    rounded = float(f"{value:.{digits}g}")
    shown = f"{rounded:.15g}" if 1.0 <= abs(rounded) < LARGE else f"{rounded:.{digits}g}"  # 220 and not 2.2e+02
    return f"{'+' if signed and rounded > 0.0 else ''}{shown}".replace("-", "−")


def apart(value: float | None, other: float | None, *, signed: bool = False) -> tuple[str, str]:
    """Both, with as many digits as tell one from the other."""
    shown = number(value, signed=signed), number(other, signed=signed)
    for digits in range(DIGITS + 1, MOST_DIGITS):
        if shown[0] != shown[1]:
            break
        shown = number(value, digits, signed=signed), number(other, digits, signed=signed)
    return shown


def metric_words(metric: str) -> str:
    """'accuracy', 'balanced accuracy', 'R²'."""
    return "R²" if metric == "r2" else metric.replace("_", " ")


def capital(text: str) -> str:
    """With a capital letter first, and the rest as it is."""
    return text[:1].upper() + text[1:]


def either(names: Sequence[str]) -> str:
    """'a, b or c'."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def words(name: str) -> str:
    return name.replace("_", " ")


def kind_words(kind: str) -> str:
    """A verdict among others, as 'vanishing'. ``mixed`` alone would not say of what."""
    return "its seeds disagree" if kind == "mixed" else kind


def values_of(remedy: Mapping[str, object]) -> Iterator[str]:
    """What it is, where its kind alone does not say it: '0.001', 'lecun_normal', 'adam 0.001'."""
    if remedy.get("kind") in OF_WHAT:
        yield OF_WHAT[str(remedy["kind"])]
    value = remedy.get(TOLD.get(str(remedy.get("kind")), ""))
    if isinstance(value, Mapping):
        yield " ".join(str(value[name]) for name in ("kind", "learning_rate") if name in value)
    elif value is not None:
        yield str(value)


def steps_words(steps: tuple[int, int] | None) -> str:
    first, last = steps or (0, 0)
    return f"step {first}" if first == last else f"steps {first} to {last}"


def layers_words(layers: Sequence[str], *, all_of_them: bool = False) -> str:
    """The one layer that a run names, or those of the single seeds; or all that every run names."""
    *others, last = layers
    if not others:
        return last
    if all_of_them:
        return f"{', '.join(others[:MOST_NAMED])}{' …' * (len(others) > MOST_NAMED)} and {last}"
    if len(others) < MOST_NAMED:
        return f"{', '.join(others)} or {last}, by seed"
    return f"{', '.join(others[:MOST_NAMED])} or one of {len(others) + 1 - MOST_NAMED} more, by seed"


def estimate_words(estimate: Estimate, *, signed: bool = False) -> str:
    """'0.91 (95 % 0.88 to 0.94, n = 5)'; the mean alone where there is no interval. No digit stands behind the second
    one of half the interval, which says how little is known of it.
    """
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return number(estimate.mean, signed=signed)
    places = _places((estimate.high - estimate.low) / 2.0)
    mean, low, high = (
        number(_rounded(value, places), DIGITS, signed=signed) for value in (estimate.mean, estimate.low, estimate.high)
    )
    source = f"{estimate.n} increments" if estimate.method == OVER_INCREMENTS else f"n = {estimate.n}"
    return f"{mean} (95 % {low} to {high}, {source})"


def _rounded(value: float, places: int) -> float:
    """To these places, or to the last digit that is shown, where that comes first: 0.97549 is 0.975 and never 0.976."""
    shown = DIGITS - 1 - math.floor(math.log10(abs(value))) if value else places
    return round(value, min(places, shown)) + 0.0


def _places(half: float) -> int:
    """Decimal places of the second digit; all of them where there is none."""
    return KNOWN_DIGITS - 1 - math.floor(math.log10(half)) if 0.0 < half < math.inf else MOST_PLACES


def gain_words(facts: GradientFacts) -> str:
    """'−26.1 (95 % −26.6 to −25.7, n = 5), vanishing, ×0.236 per layer'; beside time axes the kind is said there."""
    if not facts.judged:
        return "not judged"
    return _gain_words(facts.total_gain, None if facts.time else facts.kind, facts.gain_per_layer, "layer")


def time_words(facts: TimeFacts) -> str:
    return _gain_words(facts.total_gain, facts.kind, facts.gain_per_step, "step")


def _gain_words(gain: Estimate, kind: GradientKind | None, each: Estimate | None, unit: str) -> str:
    if gain.mean is None:
        infinite = {"vanishing": "−∞ (an exact zero), vanishing", "exploding": "+∞ (an overflow), exploding"}
        return infinite.get(kind or "", "not defined (silent or not finite), inconclusive")
    called = "" if kind is None else f", {kind}"
    rate = f", ×{number(each.mean)} per {unit}" if each is not None and each.mean is not None else ""
    return f"{estimate_words(gain, signed=True)}{called}{rate}"


def spans(names: Sequence[str], chosen: AbstractSet[str]) -> str:
    """The chosen of ``names``, neighbours drawn together: 'hidden.0 to hidden.7, hidden.17'; only the first few runs
    of them by name, as every second layer of a residual network may be chosen.
    """
    runs = [list(run) for there, run in itertools.groupby(names, key=lambda name: name in chosen) if there]
    said = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:MOST_SPANS]]
    more = sum(len(run) for run in runs[MOST_SPANS:])
    return ", ".join(said) + (f" and {more} more" if more else "")
