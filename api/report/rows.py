"""Pictures with a row for each variant, as inline SVG: what its runs reached, and how far that is from the baseline."""

from collections.abc import Sequence
from html import escape

from api.report.drawings import Axis, svg
from models.analysis.comparison_parts import Outcomes, VariantComparison
from models.analysis.statistics import Estimate

WIDTH, NAMES, MARKS, WORDS = 920.0, 190.0, 600.0, 615.0
STEP, TOP = 34.0, 18.0


def reached(variants: Sequence[VariantComparison], metric: str) -> str:
    """The metric of each variant's successes with its 95 % interval; two marks where its runs fall into two groups."""
    rows = [variant for variant in variants if variant.outcomes.success.of]
    ends = [value for variant in rows for value in _ends(variant.outcomes)]
    if not ends:
        return ""
    x = Axis(min(ends), max(ends), NAMES + 12, MARKS)
    drawn = [_outcome_row(variant, x, TOP + STEP * at) for at, variant in enumerate(rows)]
    label = f"{metric} that each variant's runs reached"
    return svg(WIDTH, _height(rows), label, "".join(drawn) + _ticks(x, (x.low, x.high), _height(rows), ".3g"))


def _ends(outcomes: Outcomes) -> list[float]:
    """All that has to lie on the axis."""
    if outcomes.modes is not None:
        return [value for mode in outcomes.modes for value in (mode.lowest, mode.highest)]
    its = outcomes.metric
    return [value for value in (its.low, its.mean, its.high) if value is not None]


def _outcome_row(variant: VariantComparison, x: Axis, y: float) -> str:
    outcomes = variant.outcomes
    if outcomes.modes is not None:
        marks = "".join(_mark(x, y, mode.mean, (mode.lowest, mode.highest), "mode") for mode in outcomes.modes)
        words = ", ".join(f"{mode.n} near {mode.mean:.3g}" for mode in outcomes.modes) + ": no one mean"
    elif outcomes.metric.mean is None:
        marks, words = "", "no run trains"
    else:
        marks = _mark(x, y, outcomes.metric.mean, (outcomes.metric.low, outcomes.metric.high), "measured")
        words = _words(outcomes.metric, ".3g")
    return _named(variant, y) + marks + _text(WORDS, y + 4, words)


def forest(variants: Sequence[VariantComparison], metric: str) -> str:
    """Each remedy's primary result against the baseline with its 95 % interval; the dotted line is no difference."""
    rows = [(variant, estimate) for variant in variants if (estimate := primary(variant)) is not None]
    if not rows:
        return ""
    ends = [value for _, its in rows for value in (its.low, its.high, its.mean) if value is not None]
    reach = max([abs(value) for value in ends] + [0.02]) * 1.05
    x, height = Axis(-reach, reach, NAMES, MARKS), _height(rows)
    zero = f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 24:.0f}" class="zero"/>'
    drawn = [_forest_row(variant, its, metric, x, TOP + STEP * at) for at, (variant, its) in enumerate(rows)]
    label = "difference of each remedy to the baseline with its 95 % interval"
    return svg(WIDTH, height, label, zero + "".join(drawn) + _ticks(x, (-reach, 0.0, reach), height, "+.2g"))


def primary(variant: VariantComparison) -> Estimate | None:
    """The result that the comparison says to read first."""
    versus = variant.versus_baseline
    if versus is None or versus.primary is None:
        return None
    estimate = versus.success_difference if versus.primary == "success_difference" else versus.metric_difference
    return estimate if estimate.mean is not None else None


def _forest_row(variant: VariantComparison, estimate: Estimate, metric: str, x: Axis, y: float) -> str:
    assert estimate.mean is not None and variant.versus_baseline is not None  # noqa: S101, PT018 -- by primary()
    what = "share that trains" if variant.versus_baseline.primary == "success_difference" else metric
    mark = _mark(x, y, estimate.mean, (estimate.low, estimate.high), "measured")
    return _named(variant, y) + mark + _text(WORDS, y + 4, f"{what} {_words(estimate, '+.3g')}")


def _named(variant: VariantComparison, y: float) -> str:
    """The variant, and below it how many of its runs train and at which rate of its own."""
    success = variant.outcomes.success
    below = f"{success.count} of {success.of} train"
    if variant.tuned is not None:
        below += f", learning rate {variant.tuned['learning_rate']:g}"
    return f'<text x="0" y="{y + 2}" class="name">{escape(variant.name[:28])}</text>{_text(0.0, y + 14, below)}'


def _mark(x: Axis, y: float, mean: float, bounds: tuple[float | None, float | None], kind: str) -> str:
    low, high = bounds
    interval = ""
    if low is not None and high is not None:
        interval = f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" class="interval"/>'
    return f'{interval}<circle cx="{x(mean):.1f}" cy="{y}" r="4" class="{kind}"/>'


def _words(estimate: Estimate, style: str) -> str:
    """The figure, its interval, and by which method where that is not Student's."""
    text = f"{estimate.mean:{style}}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ({estimate.low:{style}} to {estimate.high:{style}})"
    return f"{text} {estimate.method}" if "BCa" in estimate.method else text


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" class="tick">{escape(words)}</text>'


def _height(rows: Sequence[object]) -> float:
    return STEP * len(rows) + 30


def _ticks(x: Axis, values: Sequence[float], height: float, style: str) -> str:
    anchors = ("start", *["middle"] * (len(values) - 2), "end")
    return "".join(
        f'<text x="{x(value):.1f}" y="{height - 6:.0f}" class="tick" text-anchor="{anchor}">{value:{style}}</text>'
        for value, anchor in zip(values, anchors, strict=True)
    )
