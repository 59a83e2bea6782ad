"""One self-contained HTML page for an experiment: no script, no font, no picture from anywhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape

from api.report.drawings import profile, range_of
from api.report.forest import WIDTH, caption, forest, reached
from api.report.setup import remedies, setup
from api.report.table import table
from gradient_clinic.maps.colours import scale_limit
from gradient_clinic.maps.heatmaps import HeatMap, figure, last_step, legend
from gradient_clinic.maps.sheet import STYLE
from models.analysis.comparison.answer import answer_of
from models.analysis.comparison.compare import Comparison
from models.analysis.comparison.parts import VariantComparison
from models.status import Source
from models.storage.tables import Experiment

EXPLANATION = (
    "Maps: ln ratio of each hidden layer's rms gradient to that of the last hidden layer over training, first seed; of "
    "a recurrent network, of each state along time to the last. "
    "Profiles: the same before training over all seeds, beside theory; inside the green band (±3) gradients count as "
    "preserved. All maps have one scale of colours and one axis of steps: a run that ended early is narrower."
)
REACHED = (
    "On the test set. Blue: mean of the runs that have learned, with its 95 % interval; grey: of all runs that ended, "
    "where some have not learned; orange rings: two groups of runs."
)

PHONE = 340.0
"""What a phone has for a picture, in pixels of CSS."""

WATCHED = "<p class=remedy>what it changes its name says: it was trained elsewhere</p>"


@dataclass(frozen=True, slots=True)
class Axes:
    """What all maps and all profiles share: the last step, and the range of r."""

    last: int
    low: float
    high: float


def render(
    experiment: Experiment, comparison: Comparison, maps: Mapping[str, HeatMap], half_of_chance: float | None = None
) -> str:
    """``maps``: by variant, that of its first seed; ``half_of_chance``: the loss at which a run counts as trained."""
    limit = scale_limit([heat.levels for heat in maps.values()])
    axes = Axes(last_step(maps.values()), *range_of(variant.gradient.profile for variant in comparison.variants))
    watched = experiment.source == Source.INGESTED
    sections = "".join(
        _variant(one, WATCHED if watched else remedies(one.remedies), maps.get(one.name), limit, axes)
        for one in comparison.variants
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    mapped = any(heat.levels.size for heat in maps.values())
    title, metric = escape(experiment.name), comparison.metric
    below = caption(comparison.variants, metric)
    answer = answer_of(comparison.variants, metric, experiment.spec.optimizer, comparison.causes, comparison.earlier)
    parts = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width"><title>{title} – Gradient Clinic</title>',
        f'<link rel=icon href="data:,"><style>{STYLE}</style></head><body><h1>{title}</h1>',
        f"<p class=dim>Experiment {experiment.id}, {escape(experiment.state)}, ",
        f"posted {experiment.created_at:%Y-%m-%d %H:%M} UTC</p>{setup(experiment.spec)}",
        f"<p class=answer>{'<br>'.join(map(escape, answer))}</p>{table(comparison, half_of_chance)}",
        _drawn("What the runs reached", partial(reached, comparison.variants, metric), REACHED),
        _drawn("Against the baseline", partial(forest, comparison.variants, metric), escape(below)),
        f"<h2>Layer by layer</h2><p class=dim>{EXPLANATION}<br>{legend(limit)}</p>" if mapped else "<h2>Variants</h2>",
        f"{sections}<h2>Notes</h2><ul>{notes}</ul></body></html>",
    )
    return "".join(parts)


def _drawn(title: str, draw: Callable[[float], str], below: str) -> str:
    """For wide and for narrow screens, of which the style sheet shows one. Nothing where there is nothing to draw: of a
    log, or of a variant alone.
    """
    wide, narrow = draw(WIDTH), draw(PHONE)
    pictures = f"<div class=wide>{wide}</div><div class=narrow>{narrow}</div>"
    return f"<h2>{title}</h2>{pictures}<p class=dim>{below}</p>" if wide else ""


def _variant(variant: VariantComparison, what: str, heat: HeatMap | None, limit: float, axes: Axes) -> str:
    """``what``: HTML that says what it changes."""
    layers = profile(variant.gradient.profile, axes.low, axes.high)
    beside = f"<figure>{layers}<figcaption>before training: points measured, line predicted</figcaption></figure>"
    return (
        f"<section class=variant><h3>{escape(variant.name)}</h3><div class=what>{what}</div>"
        f"<div>{figure(variant.name, heat, limit, axes.last)}<p>{escape(variant.sentence)}</p></div>"
        f"{beside if layers else ''}</section>"
    )
