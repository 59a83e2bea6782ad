"""Pictures with a row for each variant, as inline SVG: what its runs reached, and how far that is from the baseline."""

from collections.abc import Sequence
from html import escape

from api.report.drawings import Axis, svg
from api.report.numbers import in_words
from api.report.ticks import round_ticks, tick_words
from gradient_clinic.intervals import Estimate
from models.analysis.comparison.parts import Outcomes, VariantComparison
from models.analysis.statistics.methods import Method

WIDTH, NAMES, MARKS, WORDS = 920.0, 190.0, 545.0, 557.0
STEP, TOP = 34.0, 18.0
NARROWEST = 0.02
"""An axis of differences reaches at least so far."""


def reached(variants: Sequence[VariantComparison], metric: str) -> str:
    """The metric of each variant's successes with its 95 % interval, and pale that of all its runs where some have not
    trained; two marks where its runs fall into two groups.
    """
    rows = [variant for variant in variants if variant.outcomes.success.of]
    ends = [value for variant in rows for value in _ends(variant.outcomes)]
    if not ends:
        return ""
    x = Axis(min(ends), max(ends), NAMES + 12, MARKS)
    drawn = [_outcome_row(variant, x, TOP + STEP * at) for at, variant in enumerate(rows)]
    label = f"{metric} that each variant's runs reached"
    return svg(WIDTH, _height(rows), label, _ticks(x, _height(rows), metric) + "".join(drawn))


def _ends(outcomes: Outcomes) -> list[float]:
    """All that has to lie on the axis."""
    if outcomes.modes is not None:
        return [value for mode in outcomes.modes for value in (mode.lowest, mode.highest)]
    shown = (outcomes.metric, of_all(outcomes))
    return [
        value
        for estimate in shown
        if estimate is not None
        for value in (estimate.low, estimate.mean, estimate.high)
        if value is not None
    ]


def of_all(outcomes: Outcomes) -> Estimate | None:
    """The metric of all runs, where it says more than that of the successes."""
    every = outcomes.metric_of_all
    some_failed = outcomes.success.count < outcomes.success.of
    return every if some_failed and every is not None and every.mean is not None else None


def _outcome_row(variant: VariantComparison, x: Axis, y: float) -> str:
    outcomes = variant.outcomes
    if outcomes.modes is not None:
        marks = "".join(_mark(x, y, mode.mean, (mode.lowest, mode.highest), "mode") for mode in outcomes.modes)
        words = ", ".join(f"{mode.n} near {mode.mean:.3g}" for mode in outcomes.modes) + ": no one mean"
    else:
        marks, words = _means(outcomes, x, y)
    return _named(variant, y) + marks + _text(WORDS, y + 4, words)


def _means(outcomes: Outcomes, x: Axis, y: float) -> tuple[str, str]:
    """Marks and words of the mean over successes and of that over all runs."""
    marks, words = "", []
    if (every := of_all(outcomes)) is not None and every.mean is not None:
        marks += _mark(x, y, every.mean, (every.low, every.high), "all")
        words.append(f"all {every.n}: {in_words(every)}")
    metric = outcomes.metric
    if metric.mean is not None:
        marks += _mark(x, y, metric.mean, (metric.low, metric.high), "measured")
    return marks, "; ".join(["no run trains" if metric.mean is None else in_words(metric), *words])


def forest(variants: Sequence[VariantComparison], metric: str) -> str:
    """Each remedy's primary result against the baseline with its 95 % interval; the dotted line is no difference."""
    rows = [(variant, estimate) for variant in variants if (estimate := primary(variant)) is not None]
    if not rows:
        return ""
    ends = [
        value for _, estimate in rows for value in (estimate.low, estimate.high, estimate.mean) if value is not None
    ]
    reach = max([abs(value) for value in ends] + [NARROWEST]) * 1.05
    x, height = Axis(-reach, reach, NAMES, MARKS), _height(rows)
    zero = f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 24:.0f}" class="zero"/>'
    drawn = [_forest_row(variant, estimate, metric, x, TOP + STEP * at) for at, (variant, estimate) in enumerate(rows)]
    label = "difference of each remedy to the baseline with its 95 % interval"
    what = " or ".join(dict.fromkeys(_what(variant, metric) for variant, _ in rows))
    below = _ticks(x, height, f"difference in {what}", signed=True)
    return svg(WIDTH, height, label, below + zero + "".join(drawn))


def caption(variants: Sequence[VariantComparison], metric: str) -> str:
    """Which difference the forest plot shows, and by which method its intervals are."""
    shown = [
        (versus.primary, estimate.method)
        for variant in variants
        if (estimate := primary(variant)) is not None and (versus := variant.versus_baseline) is not None
    ]
    parts = [
        f"share that trains: {SHARES}"
        if what == "success_difference"
        else f"{metric}: {METRICS}, interval by {METHODS.get(method, method)}"
        for what, method in dict.fromkeys(shown)
    ]
    return "; ".join(parts)


SHARES = (
    "difference in the share of runs that train, with Newcombe's score interval for pairs (method 10); read first "
    "where not all runs train"
)


METRICS = "mean difference over the seeds that train with and without the remedy"
METHODS: dict[str, str] = {
    Method.PAIRED_T: "Student's paired t",
    Method.PAIRED_BCA: "the paired BCa bootstrap",
    Method.PAIRED_IQM_BCA: "the paired BCa bootstrap of the middle half",
}


def primary(variant: VariantComparison) -> Estimate | None:
    """The result that the comparison says to read first."""
    versus = variant.versus_baseline
    if versus is None or versus.primary is None:
        return None
    estimate = versus.success_difference if versus.primary == "success_difference" else versus.metric_difference
    return estimate if estimate.mean is not None else None


def _forest_row(variant: VariantComparison, estimate: Estimate, metric: str, x: Axis, y: float) -> str:
    assert estimate.mean is not None  # by primary()
    assert variant.versus_baseline is not None
    mark = _mark(x, y, estimate.mean, (estimate.low, estimate.high), "measured")
    return (
        _named(variant, y) + mark + _text(WORDS, y + 4, f"{_what(variant, metric)} {in_words(estimate, signed=True)}")
    )


def _what(variant: VariantComparison, metric: str) -> str:
    versus = variant.versus_baseline
    return "share that trains" if versus is not None and versus.primary == "success_difference" else metric


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
        interval = f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" class="interval {kind}"/>'
    return f'{interval}<circle cx="{x(mean):.1f}" cy="{y}" r="4" class="{kind}"/>'


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" class="tick">{escape(words)}</text>'


def _height(rows: Sequence[object]) -> float:
    return STEP * len(rows) + 30


def _ticks(x: Axis, height: float, name: str, *, signed: bool = False) -> str:
    """Round numbers below the rows, and what they are of beside them."""
    values = round_ticks(x.low, x.high)
    marks = "".join(
        f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="4" y2="{height - 18:.0f}" class="grid"/>'
        f'<text x="{x(value):.1f}" y="{height - 6:.0f}" class="tick" text-anchor="middle">{words}</text>'
        for value, words in zip(values, tick_words(values, signed=signed), strict=True)
    )
    return marks + _text(WORDS + 12, height - 6, name)
