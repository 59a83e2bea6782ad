"""What a reader must know beside the figures of a comparison: under which conditions they hold, and what is missing."""

from collections.abc import Iterator, Sequence

from gradient_clinic.verdict.sentences import NO_REMEDY, ONE_LAYER, is_judged
from models.analysis.comparison.arms import RunRow, Trial
from models.analysis.comparison.from_chance import chance_words
from models.analysis.comparison.parts import VariantComparison
from models.specs.base import leaves
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
from models.status import State

CONDITIONS = ("network", "optimizer", "batch_size", "drop_last", "epochs", "steps", "stop_when")
"""What may differ between experiments that are compared; their data and their loss may not."""

MOST_NAMED = 5
"""Seeds, one by one."""


def notes_of(trials: Sequence[Trial], parts: Sequence[VariantComparison]) -> Iterator[str]:
    """``parts`` are the variants of all ``trials``, the baseline that they are compared with first."""
    first, *others = trials
    if others:
        yield f"everything is compared with the baseline of {first.experiment_id} ({first.spec.name})"
    for trial in trials:
        named = f"{trial.experiment_id}: " if others else ""
        yield from (f"{named}{note}" for note in _of_one(trial, parts))
    yield from (_differences(first.spec, other) for other in others)
    if len(first.seeds) == 1:
        yield "one seed: no intervals over seeds, and the states of layers rest on point values"
    yield from (f"baseline: {why}" for why in _is_well(parts[0]))
    if first.variants[0].plan.steps:
        chance = chance_words(parts[0], first.spec.metric)
        trains = "a run trains when its final loss closes at least half of the way from chance to zero"
        yield f"{trains}; {chance}" if chance else trains
    if any(part.gradient.profile for part in parts):
        yield "states of layers: intervals simultaneous over layers (Bonferroni); other intervals are one by one"
    if without := [part.name for part in parts if part.verdict is not None and part.verdict.rests_on == "loss"]:
        yield f"no layers were recorded of {', '.join(without)}: judged by the loss alone, no layer is compared"


def _of_one(trial: Trial, parts: Sequence[VariantComparison]) -> Iterator[str]:
    """Its learning rates, and the runs that it has not."""
    if trial.variants[0].plan.steps == 0:
        yield "untrained networks only: nothing is said about training"
    else:
        yield from _rates(trial.spec, [part for part in parts if part.experiment_id == trial.experiment_id])
    if not isinstance(trial.spec, ExperimentSpec):
        yield "trained elsewhere: what a variant changes only its name says"
    yield from _missing(trial.runs)


def _rates(spec: StoredSpec, parts: Sequence[VariantComparison]) -> Iterator[str]:
    """At which learning rates all this holds."""
    if not isinstance(spec, ExperimentSpec) or spec.tune is None:
        yield "at this learning rate only"
        return
    tried = ", ".join(f"{rate:g}" for rate in spec.tune.learning_rate)
    seeds = len(spec.tune.seed_list())
    own = "seed of its own" if seeds == 1 else "seeds of their own"
    yield (
        f"each variant at the learning rate with its best validation loss among {tried}, chosen on {seeds} {own}; "
        "the test set was not used for it"
    )
    edges = [f"{part.name} ({part.tuned['learning_rate']:g})" for part in parts if _at_edge(part) and part.tuned]
    if edges:
        yield f"the best rate lies at the edge of those tried, so a better one may lie beyond: {', '.join(edges)}"


def _at_edge(part: VariantComparison) -> bool:
    return part.tuning is not None and part.tuning.at_edge


def _missing(runs: Sequence[RunRow]) -> Iterator[str]:
    """How much of the whole this is, then by variant which runs it is without, and why."""
    absent = [row for row in runs if row.state != State.SUCCEEDED]
    if absent:
        yield f"a partial answer, from the {len(runs) - len(absent)} of {len(runs)} runs that have succeeded"
    for name in sorted({row.variant for row in absent}):
        yield f"missing from {name}: {'; '.join(_fates([row for row in absent if row.variant == name]))}"


def _fates(absent: Sequence[RunRow]) -> Iterator[str]:
    """'seeds 0, 2 failed (Out of memory)': those of one end together, the lowest seed first."""
    seeds: dict[str, list[int]] = {}
    for row in sorted(absent, key=lambda row: row.seed):
        fate = row.state if row.reason is None else f"{row.state} ({row.reason})"
        seeds.setdefault(fate, []).append(row.seed)
    return (f"{_seeds(those)} {fate}" for fate, those in seeds.items())


def _seeds(those: Sequence[int]) -> str:
    if len(those) == 1:
        return f"seed {those[0]}"
    if len(those) > MOST_NAMED:
        return f"{len(those)} seeds from {those[0]} to {those[-1]}"
    return f"seeds {', '.join(map(str, those))}"


def _differences(first: StoredSpec, other: Trial) -> str:
    """Where the conditions of two experiments part: what the comparison is really of."""
    if not (isinstance(first, ExperimentSpec) and isinstance(other.spec, ExperimentSpec)):
        return f"{other.experiment_id} ({other.spec.name}): in what its conditions differ was not told"
    one, two = (dict(leaves(spec.model_dump(mode="json", include=set(CONDITIONS)))) for spec in (first, other.spec))
    parted = [name for name in dict.fromkeys([*one, *two]) if one.get(name) != two.get(name)]
    shown = ", ".join(f"{name} {_value(two.get(name))} instead of {_value(one.get(name))}" for name in parted)
    return f"{other.experiment_id} ({other.spec.name}) has {shown or 'the same conditions'}"


def _value(value: object) -> str:
    return "none" if value is None else str(value)


def _is_well(baseline: VariantComparison) -> Iterator[str]:
    verdict = baseline.verdict
    if verdict is None or verdict.kind != "healthy":
        return
    if verdict.rests_on == "loss":
        yield f"{NO_REMEDY}, it trains; its gradients were not recorded"
    elif not is_judged(verdict.at_start):
        yield f"{NO_REMEDY}, it trains; {ONE_LAYER}" if verdict.trained else ONE_LAYER
    elif verdict.trained is None:
        yield f"{NO_REMEDY}, its gradients start healthy"
    elif verdict.at_start.kind == "healthy":
        yield f"{NO_REMEDY}, it trains and its gradients start healthy"
    else:
        yield f"{NO_REMEDY}, it trains; its gradients start {verdict.at_start.kind}"
