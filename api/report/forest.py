"""Pictures with a row for each variant, as inline SVG: what its runs reached, and how far that is from the baseline."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

from api.report.drawings import NAME_SIZE, NARROW, Axis, cut, lines_of, svg, tick, width_of
from api.report.numbers import in_words
from api.report.ticks import round_ticks, tick_words
from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.wording import metric_words
from models.analysis.comparison.parts import Outcomes, ShownBy, VariantComparison
from models.analysis.statistics.methods import Method

WIDTH = 920
NAMES, WORDS, GAP = 190.0, 363.0, 12.0
"""Of a wide drawing: the columns of names and of words, and the space before the marks' axis and behind it."""
STEP, TOP = 36.0, 18.0
LINE, MARK, BETWEEN = 16.0, 22.0, 10.0
"""Of a narrow drawing: heights of a line of words, of the marks below them, and of the space below these."""
NARROWEST = 0.02
"""An axis of differences reaches at least so far."""

Mark = tuple[float, tuple[float | None, float | None], str]
"""A mean, both ends of its interval, and what it is of: a class of the style sheets."""


@dataclass(frozen=True, slots=True)
class Row:
    """A variant, what stands below its name, its marks on an axis at a height, and these in words."""

    name: str
    below: str
    marks: Callable[[Axis, float], str]
    words: str


def reached(variants: Sequence[VariantComparison], metric: str, width: float = WIDTH) -> str:
    """The metric of each variant's successes with its 95 % interval, and pale that of all its runs where some have not
    trained; two marks where its runs fall into two groups.
    """
    shown = [variant for variant in variants if variant.outcomes.success.of]
    ends = [value for variant in shown for value in _ends(variant.outcomes)]
    if not ends:
        return ""
    rows, what = [_outcome_row(variant) for variant in shown], metric_words(metric)
    return _drawn(rows, (min(ends), max(ends)), what, f"{what} that each variant's runs reached", width)


def _drawn(  # noqa: PLR0913 -- what is drawn, and how
    rows: Sequence[Row], ends: tuple[float, float], below: str, label: str, width: float, *, signed: bool = False
) -> str:
    """``below``: what the axis is of; ``signed``: it is of differences, with a dotted line at none."""
    drawing = _narrow if width < NARROW else _wide
    height, inner = drawing(rows, ends, below, width, signed=signed)
    return svg(width, height, label, inner)


def _wide(
    rows: Sequence[Row], ends: tuple[float, float], below: str, width: float, *, signed: bool
) -> tuple[float, str]:
    """Name, marks and words of a row beside each other."""
    longest = max(max(width_of(row.name, NAME_SIZE), width_of(row.below)) for row in rows)
    names = min(max(longest + GAP, NAMES), width / 3.0)
    x = Axis(*ends, names + GAP, width - WORDS - GAP)
    height = STEP * len(rows) + 30.0
    drawn = [_axis(x, 4.0, height - 20.0, signed=signed), _ticks(x, height - 6.0, signed=signed)]
    for at, row in enumerate(rows):
        y = TOP + STEP * at
        name = cut(row.name, names, NAME_SIZE)
        words = lines_of(row.words, WORDS)
        drawn += [
            f'<text x="0" y="{y + 2}" class="name">{escape(name)}</text>{tick(0.0, y + 16, cut(row.below, names))}',
            row.marks(x, y),
            *(tick(width - WORDS, y + 4 + 14 * (line - (len(words) - 1) / 2), its) for line, its in enumerate(words)),
        ]
    return height, "".join([*drawn, tick(width - WORDS + GAP, height - 6, below)])


def _narrow(
    rows: Sequence[Row], ends: tuple[float, float], below: str, width: float, *, signed: bool
) -> tuple[float, str]:
    """A row's name, words and marks below each other."""
    x, y = Axis(*ends, 2 * GAP, width - 2 * GAP), 0.0
    drawn = []
    for row in rows:
        drawn.append(f'<text x="0" y="{y + 14}" class="name">{escape(cut(row.name, width, NAME_SIZE))}</text>')
        beside = width_of(row.name, NAME_SIZE) + GAP + width_of(row.below) <= width
        if beside:
            drawn.append(tick(width, y + 14, row.below, "end"))
        words = lines_of(row.words if beside else f"{row.below}; {row.words}", width)
        drawn += [tick(0.0, y + 14 + LINE * line, its) for line, its in enumerate(words, start=1)]
        y += 14.0 + LINE * len(words)
        drawn += [_axis(x, y + 4.0, y + MARK, signed=signed), row.marks(x, y + 4.0 + (MARK - 4.0) / 2.0)]
        y += MARK + BETWEEN
    drawn += [_ticks(x, y + 6.0, signed=signed), tick(width / 2.0, y + 6.0 + LINE, below, "middle")]
    return y + 12.0 + LINE, "".join(drawn)


def _axis(x: Axis, top: float, bottom: float, *, signed: bool) -> str:
    lines = [(value, "grid") for value in round_ticks(x.low, x.high)] + ([(0.0, "zero")] if signed else [])
    return "".join(
        f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="{kind}"/>'
        for value, kind in lines
    )


def _ticks(x: Axis, y: float, *, signed: bool) -> str:
    values = round_ticks(x.low, x.high)
    words = tick_words(values, signed=signed)
    return "".join(tick(x(value), y, its, "middle") for value, its in zip(values, words, strict=True))


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


def _outcome_row(variant: VariantComparison) -> Row:
    outcomes = variant.outcomes
    if outcomes.modes is not None:
        shown: list[Mark] = [(mode.mean, (mode.lowest, mode.highest), "mode") for mode in outcomes.modes]
        words = ", ".join(f"{mode.n} near {mode.mean:.3g}" for mode in outcomes.modes) + ": no one mean"
    else:
        shown, words = _means(outcomes)
    return Row(variant.name, _below(variant), partial(_marks, shown), words)


def _means(outcomes: Outcomes) -> tuple[list[Mark], str]:
    """Marks and words of the mean over successes and of that over all runs."""
    marks: list[Mark] = []
    words = []
    if (every := of_all(outcomes)) is not None and every.mean is not None:
        marks.append((every.mean, (every.low, every.high), "all"))
        words.append(f"all {every.n}: {in_words(every)}")
    metric = outcomes.metric
    if metric.mean is not None:
        marks.append((metric.mean, (metric.low, metric.high), "measured"))
    return marks, "; ".join(["no run trains" if metric.mean is None else in_words(metric), *words])


def forest(variants: Sequence[VariantComparison], metric: str, width: float = WIDTH) -> str:
    """Of each remedy the difference to the baseline that it is ``shown_by``, with its 95 % interval. The dotted line is
    no difference.
    """
    shown = list(_shown(variants))
    if not shown:
        return ""
    bounds = [value for _, _, estimate in shown for value in (estimate.low, estimate.high, estimate.mean)]
    reach = max([abs(value) for value in bounds if value is not None] + [NARROWEST]) * 1.05
    kinds = list(dict.fromkeys(_what(measure, metric) for _, measure, _ in shown))
    # Where all rows are of one thing the axis says which; else each row does, and the axis has no room for all.
    rows = [_forest_row(one, estimate, _what(measure, metric) if kinds[1:] else "") for one, measure, estimate in shown]
    label = "difference of each remedy to the baseline with its 95 % interval"
    below = "difference to the baseline" if kinds[1:] else f"difference in {kinds[0]}"
    return _drawn(rows, (-reach, reach), below, label, width, signed=True)


def caption(variants: Sequence[VariantComparison], metric: str) -> str:
    """Which differences the forest plot shows, and by which method their intervals are."""
    shown = dict.fromkeys((measure, estimate.method) for _, measure, estimate in _shown(variants))
    return "; ".join(_captioned(measure, method, metric) for measure, method in shown)


def _captioned(measure: ShownBy, method: str, metric: str) -> str:
    if measure == "success_difference":
        return f"share that trains: {SHARES}"
    by = METHODS.get(method, method)
    if measure != "metric_difference":
        way = f"{CLOSED} by {_closed_by(measure, metric)}: {SHARE_OF_WAY}"
        return f"{way}, {SEEDS}, interval by {by}; the grade rests on it"
    return f"{metric_words(metric)}: {METRICS}, interval by {by}"


SHARES = (
    "difference in the share of runs that train, with Newcombe's score interval for pairs (method 10); read first "
    "where not all runs train"
)


METRICS = "mean difference over the seeds that train with and without the remedy"
CLOSED = "way closed"
SHARE_OF_WAY = "share of the way from chance to the best possible"
SEEDS = "mean difference over the seeds in which both were trained"
METHODS: dict[str, str] = {
    Method.PAIRED_T: "Student's paired t",
    Method.PAIRED_BCA: "the paired BCa bootstrap",
    Method.PAIRED_IQM_BCA: "the paired BCa bootstrap of the middle half",
}


def _shown(variants: Sequence[VariantComparison]) -> Iterator[tuple[VariantComparison, ShownBy, Estimate]]:
    """Those with a difference that has a figure."""
    for variant in variants:
        versus = variant.versus_baseline
        estimate = None if versus is None else versus.shown_difference
        if versus is not None and versus.shown_by is not None and estimate is not None and estimate.mean is not None:
            yield variant, versus.shown_by, estimate


def _forest_row(variant: VariantComparison, estimate: Estimate, what: str) -> Row:
    assert estimate.mean is not None  # by _shown()
    shown: list[Mark] = [(estimate.mean, (estimate.low, estimate.high), "measured")]
    words = f"{what} {in_words(estimate, signed=True)}".lstrip()
    return Row(variant.name, _below(variant), partial(_marks, shown), words)


def _what(measure: ShownBy, metric: str) -> str:
    if measure == "success_difference":
        return "share that trains"
    return metric_words(metric) if measure == "metric_difference" else f"{CLOSED} by {_closed_by(measure, metric)}"


def _closed_by(measure: ShownBy, metric: str) -> str:
    return "loss" if measure == "loss_progress" else metric_words(metric)


def _below(variant: VariantComparison) -> str:
    """How many of its runs train, and at which rate of its own."""
    success = variant.outcomes.success
    rate = "" if variant.tuned is None else f", learning rate {variant.tuned['learning_rate']:g}"
    return f"{success.count} of {success.of} train{rate}"


def _marks(shown: Sequence[Mark], x: Axis, y: float) -> str:
    return "".join(_mark(x, y, *one) for one in shown)


def _mark(x: Axis, y: float, mean: float, bounds: tuple[float | None, float | None], kind: str) -> str:
    low, high = bounds
    interval = ""
    if low is not None and high is not None:
        interval = f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" class="interval {kind}"/>'
    return f'{interval}<circle cx="{x(mean):.1f}" cy="{y}" r="4" class="{kind}"/>'
