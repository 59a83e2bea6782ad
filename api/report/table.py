"""The page's table: a row for each variant, a column for each figure that any variant has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from api.report.forest import of_all
from api.report.numbers import dim, estimate, ratio
from gradient_clinic.verdict.wording import metric_words
from models.analysis.comparison.compare import Comparison
from models.analysis.comparison.parts import GradientMoment, Outcomes, PredictedGradient, Success, VariantComparison

MARK = ' <span role=img aria-label="may be off, as is said below" title="may be off, as is said below">?</span>'
LEARNED = "A run has learned when its final loss is at most half of chance"


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    cell: Callable[[VariantComparison], str]
    help: str = ""


def table(comparison: Comparison, half_of_chance: float | None) -> str:
    """``half_of_chance``: the loss at which a run counts as trained, where it is known."""
    columns = [
        column for column in _columns(comparison.metric) if any(map(_is_known, map(column.cell, comparison.variants)))
    ]
    head = "".join(_head(column) for column in (Column("variant", _name), Column("verdict", _kind), *columns))
    rows = "".join(_row(variant, columns) for variant in comparison.variants)
    known = "" if half_of_chance is None else f", here {half_of_chance:.3g} of {2.0 * half_of_chance:.3g}"
    below = f"{LEARNED}{known}; beside the count the exact 95 % interval of the share. G is the ln ratio of the rms "
    below += "gradient at the first hidden layer to that at the last; other intervals are of the mean over seeds, 95 %."
    return f"<table><tr>{head}</tr>{rows}</table><p class=dim>{below}</p>{_caveats(comparison.variants)}"


def _caveats(variants: Sequence[VariantComparison]) -> str:
    """What a mark beside a prediction means, by variant; those that share their caveats together."""
    names: dict[tuple[str, ...], list[str]] = {}
    for variant in variants:
        if MARK in _predicted(variant.gradient.predicted):
            names.setdefault(variant.gradient.predicted.caveats, []).append(variant.name)
    if not names:
        return ""
    said = "".join(f"<li>{escape(', '.join(those))}: {escape(' '.join(why))}</li>" for why, those in names.items())
    return f"<p class=dim>? beside a gain in theory: it may be off.</p><ul class=dim>{said}</ul>"


def _columns(metric: str) -> tuple[Column, ...]:
    return (
        Column("G at start", lambda variant: _gain(variant.gradient.at_start)),
        Column("G at end", lambda variant: _gain(variant.gradient.at_end)),
        Column("G over time", lambda variant: _over_time(variant.gradient.at_start)),
        Column("gain per layer", lambda variant: _per_layer(variant.gradient.at_start)),
        Column("in theory", lambda variant: _predicted(variant.gradient.predicted), "gain per layer, predicted"),
        Column("learned", lambda variant: _success(variant.outcomes.success), LEARNED),
        Column(
            metric_words(metric),
            lambda variant: _metric(variant.outcomes),
            "on the test set, over the runs that have learned",
        ),
        Column("step time", lambda variant: ratio(variant.cost.step_time_ratio), "of the baseline's"),
    )


def _is_known(cell: str) -> bool:
    return cell != "–"


def _head(column: Column) -> str:
    hint = f' title="{escape(column.help)}"' if column.help else ""
    return f"<th{hint}>{escape(column.title)}</th>"


def _row(variant: VariantComparison, columns: Sequence[Column]) -> str:
    kind = _kind(variant)
    figures = "".join(f"<td>{column.cell(variant)}</td>" for column in columns)
    return f'<tr><td>{_name(variant)}</td><td class="kind {kind}">{kind}</td>{figures}</tr>'


def _name(variant: VariantComparison) -> str:
    rate = "" if variant.tuned is None else " " + dim(f"rate {variant.tuned['learning_rate']:g}")
    return escape(variant.name) + rate


def _kind(variant: VariantComparison) -> str:
    return "–" if variant.verdict is None else variant.verdict.kind


def _gain(moment: GradientMoment | None) -> str:
    return estimate(None if moment is None or not moment.judged else moment.total_gain, "+.1f")


def _per_layer(moment: GradientMoment | None) -> str:
    return estimate(None if moment is None else moment.gain_per_layer, ".3f")


def _over_time(start: GradientMoment | None) -> str:
    """G of the recurrent layer whose gradient changes most on its way back."""
    gains = [] if start is None else [layer.total_gain for layer in start.time if layer.total_gain.mean is not None]
    return estimate(max(gains, key=lambda gain: abs(gain.mean or 0.0), default=None), "+.1f")


def _predicted(theory: PredictedGradient) -> str:
    """The predicted gain; below the table stands why one with a mark may be off."""
    if theory.gain_per_layer is None:
        return "–"
    return f"{theory.gain_per_layer:.3f}{MARK if theory.caveats else ''}"


def _success(success: Success) -> str:
    if success.low is None or success.high is None:
        return f"{success.count}/{success.of}" if success.of else "–"
    return f"{success.count}/{success.of} {dim(f'{success.low:.0%} to {success.high:.0%}')}"


def _metric(outcomes: Outcomes) -> str:
    """The metric of the runs that have learned. Where some have not, that of all runs follows, dimmed."""
    every = of_all(outcomes)
    if every is None:
        return estimate(outcomes.metric, ".3f")
    words = f"all {every.n} runs: {estimate(every, '.3f')}"
    if outcomes.modes is not None:
        words = ", ".join(f"{mode.n} near {mode.mean:.3g}" for mode in outcomes.modes)
    learned = "" if outcomes.metric.mean is None else f"{estimate(outcomes.metric, '.3f')}<br>"
    return f"{learned}<span class=dim>{words}</span>"
