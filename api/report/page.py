"""One self-contained HTML page for an experiment: no script, no font, no picture from anywhere else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from api.report.colours import Array, data_uri, scale_limit
from api.report.drawings import profile
from api.report.rows import forest, reached
from models.analysis.comparison import Comparison
from models.analysis.comparison_parts import GradientMoment, PredictedGradient, Success, VariantComparison
from models.analysis.statistics import Estimate
from models.tables import Experiment

STYLE = (Path(__file__).parent / "page.css").read_text()

EXPLANATION = (
    "Left: ln ratio of each hidden layer's rms gradient to that of the last hidden layer over training, first seed; of "
    "a recurrent network, of each state along time to the last. "
    "Right: the same before training over all seeds, beside theory; inside the green band (±3) gradients count as "
    "preserved."
)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """r of one run, rows × buckets: ln of each row's rms gradient over the last row's; ``caption`` names the rows."""

    levels: Array
    caption: str


def render(experiment: Experiment, comparison: Comparison, maps: Mapping[str, HeatMap]) -> str:
    """``maps``: by variant, that of its first seed."""
    limit = scale_limit([heat.levels for heat in maps.values()])
    low, high = _profile_range(comparison.variants)
    sections = "".join(_variant(one, maps.get(one.name), limit, low, high) for one in comparison.variants)
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    title, metric = escape(experiment.name), comparison.metric
    outcomes, drawn = reached(comparison.variants, metric), forest(comparison.variants, metric)
    parts = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width"><title>{title} – Gradient Clinic</title>',
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>",
        f"<p class=dim>Experiment {experiment.id}, {escape(experiment.state)}, ",
        f"posted {experiment.created_at:%Y-%m-%d %H:%M} UTC</p>",
        f"<p class=answer>{escape(comparison.answer)}</p>{_table(comparison)}",
        f"<h2>What the runs reached</h2>{outcomes or '<p>Nothing has trained.</p>'}",
        f"<h2>Against the baseline</h2>{drawn or '<p>Nothing to compare yet.</p>'}<h2>Layer by layer</h2>",
        f"<p class=dim>{EXPLANATION} One scale for all maps; black is not finite.<br>{_scale(limit)}</p>",
        f"{sections}<h2>Notes</h2><ul>{notes}</ul></body></html>",
    )
    return "".join(parts)


def _profile_range(variants: Sequence[VariantComparison]) -> tuple[float, float]:
    """One range for all profiles, the limits ±3 always inside."""
    values = [-3.5, 3.5]
    for variant in variants:
        for layer in variant.gradient.profile:
            values += [layer.predicted] if layer.predicted is not None else []
            values += [layer.at_start.mean] if layer.at_start is not None and layer.at_start.mean is not None else []
    return math.floor(min(values)), math.ceil(max(values))


def _scale(limit: float) -> str:
    """The bar is even in colour, so its quarters stand for a quarter of the limit."""
    share = np.linspace(-1.0, 1.0, 101)
    bar = data_uri((np.sign(share) * share**2 * limit)[np.newaxis, :], limit)
    labels = "".join(f"<span>{value:+.0f}</span>" for value in (-limit, -limit / 4, 0.0, limit / 4, limit))
    return f'<span class=scale><img class=bar alt="colour scale" src="{bar}"><span>{labels}</span></span>'


def _table(comparison: Comparison) -> str:
    titles = (
        "variant",
        "verdict",
        "G at start",
        *(["G over time"] if _has_time(comparison) else []),
        "gain per layer",
        "in theory",
        "learned",
        comparison.metric,
        "step time",
    )
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = [_row(variant, time=_has_time(comparison)) for variant in comparison.variants]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _has_time(comparison: Comparison) -> bool:
    return any(its.gradient.at_start is not None and its.gradient.at_start.time for its in comparison.variants)


def _over_time(start: GradientMoment | None) -> str:
    """Of the recurrent layer whose gradient changes most on its way back."""
    gains = [] if start is None else [its.total_gain for its in start.time if its.total_gain.mean is not None]
    return _estimate(max(gains, key=lambda gain: abs(gain.mean or 0.0), default=None), "+.1f")


def _row(variant: VariantComparison, *, time: bool) -> str:
    start = variant.gradient.at_start
    kind = "–" if variant.verdict is None else variant.verdict.kind
    cells = (
        _estimate(None if start is None else start.total_gain, "+.1f"),
        *([_over_time(start)] if time else []),
        _estimate(None if start is None else start.gain_per_layer, ".3f"),
        _predicted(variant.gradient.predicted),
        _success(variant.outcomes.success),
        _estimate(variant.outcomes.metric, ".3f"),
        _estimate(variant.cost.step_time_ratio, ".2f", "×"),
    )
    figures = "".join(f"<td>{cell}</td>" for cell in cells)
    rate = "" if variant.tuned is None else f" <span class=dim>rate {variant.tuned['learning_rate']:g}</span>"
    return f'<tr><td>{escape(variant.name)}{rate}</td><td class="kind {kind}">{kind}</td>{figures}</tr>'


def _predicted(theory: PredictedGradient) -> str:
    """With a mark where it may be off, which says why."""
    if theory.gain_per_layer is None:
        return "–"
    mark = f' <abbr title="{escape(" ".join(theory.caveats))}">?</abbr>' if theory.caveats else ""
    return f"{theory.gain_per_layer:.3f}{mark}"


def _success(success: Success) -> str:
    if success.low is None or success.high is None:
        return f"{success.count}/{success.of}"
    return f"{success.count}/{success.of} <span class=dim>{success.low:.0%} to {success.high:.0%}</span>"


def _estimate(estimate: Estimate | None, style: str, unit: str = "") -> str:
    if estimate is None or estimate.mean is None:
        return "–"
    mean = f"{estimate.mean:{style}}{unit}"
    if estimate.low is None or estimate.high is None:
        return mean
    if "BCa" in estimate.method:  # not symmetric
        bounds = f"{estimate.low:{style}} to {estimate.high:{style}}, {estimate.method}"
        return f"{mean} <span class=dim>{escape(bounds)}</span>"
    return f"{mean} <span class=dim>±{(estimate.high - estimate.low) / 2:{style.replace('+', '')}}</span>"


def _variant(variant: VariantComparison, heat: HeatMap | None, limit: float, low: float, high: float) -> str:
    drawn = "<p class=dim>No trace yet.</p>"
    if heat is not None and heat.levels.size:
        uri = data_uri(heat.levels[::-1], limit)
        drawn = (
            f'<figure><img class=map alt="heat map of {escape(variant.name)}: layers by steps" src="{uri}">'
            f"<figcaption>{escape(heat.caption)}, first at the bottom; training steps from left to right</figcaption>"
            "</figure>"
        )
    return (
        f"<section class=variant><h3>{escape(variant.name)}</h3><div>{drawn}<p>{escape(variant.sentence)}</p></div>"
        f"<figure>{profile(variant.gradient.profile, low, high)}<figcaption>before training: points measured, "
        f"line predicted</figcaption></figure></section>"
    )
