"""What was asked, in words: the set-up line below the title, and beside a variant what its remedies change."""

from collections.abc import Mapping
from html import escape
from typing import Final

from pydantic import BaseModel

from models.specs.base import About, Spec
from models.specs.dataset import UploadedSpec, split_sizes
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
from models.specs.remedy import REMEDIES

SAID: Final = (
    *("depth", "blocks", "width", "hidden", "channels", "blocks_per_stage", "layers_per_stage", "layers_per_block"),
    *("cell", "layers", "heads", "activation", "init", "normalization", "norm_position", "skip"),
    *("length", "delay", "learning_rate"),
)
"""Fields that are said first, and at their default too; others only where they differ from it."""
ABSENT: Final = frozenset({"normalization", "skip"})
"""Fields whose absence is worth a word."""
PLAIN: Final = frozenset({"function", "value"})
"""Fields whose figure speaks for itself."""
LEFT_OUT: Final = frozenset({"kind", "version", "known"})
LONGEST: Final = 6
"""So many items of a list are said."""


def setup(spec: StoredSpec) -> str:
    """Network, data, loss, optimiser and seeds in one paragraph, as HTML; of what others have trained, its data."""
    said = (
        _planned(spec)
        if isinstance(spec, ExperimentSpec)
        else (("Trained elsewhere", "and watched, or brought in as a log"), ("Data", spec.data))
    )
    return f"<p class=setup>{''.join(f'<b>{title}</b> {escape(text)}. ' for title, text in said if text)}</p>"


def _planned(spec: ExperimentSpec) -> tuple[tuple[str, str], ...]:
    return (
        ("Network", _listed(f"{spec.network.about.title} ({spec.network.kind})", *words(spec.network))),
        ("Data", _data(spec)),
        ("Loss", _loss(spec)),
        ("Training", _training(spec)),
        ("Seeds", _seeds(spec)),
    )


def remedies(given: tuple[Mapping[str, object], ...]) -> str:
    """Each remedy with its parameters, and what it is by the catalogue, as HTML; of the baseline that it has none."""
    if not given:
        return "<p class=remedy>no remedy: the network and its training as above</p>"
    return "".join(_remedy(one) for one in given)


def _remedy(given: Mapping[str, object]) -> str:
    kind = str(given["kind"])
    remedy = REMEDIES[kind].model_validate(given)
    parameters = ", ".join(words(remedy, all_of_them=True))
    about = _about(remedy)
    what = f"{about.title}: {about.formula}"
    named = f"<b>{escape(kind)}</b>{escape(f': {parameters}') if parameters else ''}"
    return f"<p class=remedy>{named} <span class=dim>{escape(what)}</span></p>"


def _about(remedy: Spec) -> About:
    """The remedy's, or where it is another initialisation or optimiser, that of the one it brings."""
    values = (getattr(remedy, name) for name in type(remedy).model_fields)
    brought = (value.about for value in values if hasattr(value, "about"))
    return next(brought, remedy.about)


def words(spec: BaseModel, *, all_of_them: bool = False) -> list[str]:
    """``width 64`` and so on: the main fields and what is not at its default, or all fields."""
    own = [name for name in type(spec).model_fields if name not in LEFT_OUT]
    main = [name for name in SAID if name in own]
    shown = own if all_of_them else [*main, *(name for name in own if name not in SAID and _is_changed(spec, name))]
    kind = getattr(spec, "kind", None)
    return [text for name in shown if (text := _field(name, getattr(spec, name), kind))]


def _is_changed(spec: BaseModel, name: str) -> bool:
    usual = type(spec).model_fields[name].get_default(call_default_factory=True)
    return bool(getattr(spec, name) != usual)


def _field(name: str, value: object, kind: str | None) -> str:
    if value is None:
        return f"{_name(name)} none" if name in ABSENT else ""
    if name == "depth" and isinstance(value, int):
        return f"depth {value} ({value - 1} hidden layer{'s' * (value > 2)} and the output)"
    return _text(value) if name in PLAIN or name == kind else f"{_name(name)} {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, BaseModel):
        own = ", ".join(words(value))
        kind = _name(str(getattr(value, "kind", "")))
        return f"{kind} ({own})" if own else kind
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        more = f" … {len(value)} in all" if len(value) > LONGEST else ""
        return "[" + ", ".join(_text(one) for one in value[:LONGEST]) + more + "]"
    return f"{value:g}" if isinstance(value, float) else _name(str(value))


def _name(name: str) -> str:
    return name.replace("_", " ")


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _data(spec: ExperimentSpec) -> str:
    data = spec.dataset
    sizes = split_sizes(data.facts.cases, data.validation_fraction, data.test_fraction)
    kept = f", {sizes.validation:,} validation" if sizes.validation else ""
    counted = f"{sizes.train:,} training{kept} and {sizes.test:,} test cases" if data.facts.cases else ""
    title = "uploaded" if isinstance(data, UploadedSpec) else f"{data.about.title} ({data.kind})"
    return _listed(title, *words(data), counted)


def _loss(spec: ExperimentSpec) -> str:
    weights = "" if spec.class_weights is None else f"class weights {_text(spec.class_weights)}"
    smoothing = f"label smoothing {spec.label_smoothing:g}" if spec.label_smoothing else ""
    metric = f"judged by {_name(spec.metric)}" if spec.metric == "balanced_accuracy" else ""
    return _listed("" if spec.loss == _usual_loss(spec) else _name(spec.loss), weights, smoothing, metric)


def _usual_loss(spec: ExperimentSpec) -> object:
    field = ExperimentSpec.model_fields["loss"]
    return field.get_default(call_default_factory=True, validated_data={"dataset": spec.dataset})


def _training(spec: ExperimentSpec) -> str:
    if spec.steps == 0:
        return "none, the untrained network was measured"
    length = f"{spec.steps:,} steps" if spec.steps is not None else f"{spec.epochs:,} epochs"
    tuned = "" if spec.tune is None else f"each variant at the best rate of {_text(spec.tune.learning_rate)}"
    optimizer = _name(spec.optimizer.kind)
    return _listed(optimizer, *words(spec.optimizer), tuned, f"batches of {spec.batch_size:,}", length)


def _seeds(spec: ExperimentSpec) -> str:
    seeds = spec.seed_list()
    return f"{len(seeds)}, from {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"1, number {seeds[0]}"
