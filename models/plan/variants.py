"""From an experiment's spec to the plan of every variant. A variant whose remedies contradict, or that the data cannot
feed, is refused here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradient_clinic.signals import CURVES, CurveName
from models.plan.designs import contradiction, named_variants
from models.plan.planners import plan_network_on
from models.plan.rewrites import Draft, draft_of, rewrite
from models.plan.tree import LayerPlan, NetworkPlan, Normalise, walk
from models.specs.base import Problem, SpecError
from models.specs.dataset import DatasetSpec, SplitSizes, split_sizes
from models.specs.experiment import MAX_RUNS, MAX_STEPS, ExperimentSpec, StopWhenSpec
from models.specs.loss import Objective, metric_problem, objective_problem
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import RemedySpec

MAX_PARAMETERS = 200_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one run needs but its seed: the network, the data's sizes, how it is trained, what is recorded.

    ``experiment`` is as the client asked for it. What remedies and tuning change of it (network, data, loss, optimiser)
    is read from the plan's own fields.
    """

    network: NetworkPlan
    dataset: DatasetSpec
    experiment: ExperimentSpec
    remedies: tuple[RemedySpec, ...]
    optimizer: OptimizerSpec
    objective: Objective
    run_time: tuple[RemedySpec, ...]
    sizes: SplitSizes
    steps_per_epoch: int
    steps: int

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        return self.network.layers

    @property
    def told(self) -> tuple[CurveName, ...]:
        return CURVES

    @property
    def stop_when(self) -> StopWhenSpec:
        return self.experiment.stop_when

    @property
    def recorded_steps(self) -> int:
        """How many records the run leaves: every ``every``-th step from 0, and one for ``steps: 0``."""
        return max(1, math.ceil(self.steps / self.experiment.trace.every))

    def recording_every(self, every: int) -> "Plan":
        """The same with another cadence, which a budget has chosen."""
        trace = self.experiment.trace.model_copy(update={"every": every})
        return replace(self, experiment=self.experiment.model_copy(update={"trace": trace}))

    def at_rate(self, learning_rate: float | None) -> "Plan":
        """The same with the learning rate that tuning tries or has chosen; None: its own."""
        if learning_rate is None:
            return self
        return replace(self, optimizer=self.optimizer.model_copy(update={"learning_rate": learning_rate}))

    @property
    def conditions(self) -> str:
        """What every verdict on training holds for, in words: 'adam 0.001, batch 128, 110 steps'."""
        treated = "".join(f", with {remedy.kind}" for remedy in self.run_time)
        batch = self.experiment.batch_size
        return f"{optimizer_words(self.optimizer)}, batch {batch}, {self.steps} steps{treated}"


def optimizer_words(optimizer: OptimizerSpec, learning_rate: float | None = None) -> str:
    """'sgd 0.1 momentum 0.9 cosine'; with the rate that tuning has chosen, where it has."""
    rate = optimizer.learning_rate if learning_rate is None else learning_rate
    words = [optimizer.kind, f"{rate:g}"]
    if momentum := getattr(optimizer, "momentum", 0.0):
        words.append(f"momentum {momentum:g}")
    if optimizer.schedule is not None:
        words.append(optimizer.schedule.kind)
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of the trial: the baseline or a set of remedies, with its plan."""

    name: str
    remedies: tuple[RemedySpec, ...]
    plan: Plan


def _steps(spec: ExperimentSpec, train_cases: int) -> tuple[int, int]:
    """(steps per epoch, steps of a run)."""
    per_epoch = train_cases // spec.batch_size if spec.drop_last else math.ceil(train_cases / spec.batch_size)
    if per_epoch == 0:
        message = f"a batch of {spec.batch_size} is larger than the training set"
        raise SpecError(Problem("batch_size", spec.batch_size, message, f"at most {train_cases}"))
    steps = spec.steps if spec.steps is not None else per_epoch * (spec.epochs or 0)
    if steps > MAX_STEPS:
        message = f"{spec.epochs} epochs of {per_epoch} steps are {steps:,} steps"
        raise SpecError(Problem("epochs", spec.epochs, message, f"at most {MAX_STEPS:,} steps"))
    return per_epoch, steps


def _training_sizes(spec: ExperimentSpec) -> SplitSizes:
    dataset = spec.dataset
    sizes = split_sizes(dataset.facts.cases, dataset.validation_fraction, dataset.test_fraction)
    if sizes.train < 1:
        message = "validation and test leave no training cases"
        given = [dataset.validation_fraction, dataset.test_fraction]
        raise SpecError(Problem("dataset", given, message, "validation_fraction + test_fraction below 1"))
    if spec.tune is not None and sizes.validation < 1:
        message = f"of {dataset.facts.cases} cases this leaves none for validation, by which tune chooses"
        raise SpecError(Problem("dataset.validation_fraction", dataset.validation_fraction, message, "a larger share"))
    return sizes


def _normalised_by_batch(network: NetworkPlan) -> bool:
    alone = [node.norm for node in walk(network.body) if isinstance(node, Normalise)]
    norms = [*alone, *(layer.normalization for layer in network.layers)]
    return any(norm is not None and norm.kind == "batch_norm" for norm in norms)


def _check_targets(spec: ExperimentSpec, dataset: DatasetSpec, where: str) -> None:
    """Here and not in the spec: of uploaded data it is known only now what their targets are."""
    if dataset.standardise_targets and dataset.facts.target != "value":
        asked_for = spec.dataset.standardise_targets
        message = "the targets are classes, which have no mean"
        field, value = ("dataset.standardise_targets", True) if asked_for else (where, "standardise_targets")
        raise SpecError(Problem(field, value, message, "data whose target is a value"))


def _check_objective(spec: ExperimentSpec, draft: Draft, where: str) -> None:
    if (unfit := metric_problem(draft.dataset.facts, spec.metric)) is not None:
        raise SpecError(unfit)
    if (wrong := objective_problem(draft.dataset.facts, draft.objective)) is None:
        return
    # What a remedy has set is told where the remedy stands.
    by_remedy = getattr(draft.objective, wrong.field) != getattr(spec.objective, wrong.field)
    raise SpecError(replace(wrong, field=where, message=f"{wrong.field}: {wrong.message}") if by_remedy else wrong)


def _check_schedule(draft: Draft, steps: int, where: str) -> None:
    schedule = draft.optimizer.schedule
    if schedule is not None and steps > 0 and schedule.warm_up >= steps:
        message = f"a warm-up of {schedule.warm_up} steps is as long as the run, which has {steps}"
        raise SpecError(Problem(where, schedule.warm_up, message, f"at most {steps - 1}"))


def _plan(spec: ExperimentSpec, remedies: tuple[RemedySpec, ...], where: str) -> Plan:
    """Of the network with these remedies, which stand there in the spec. SpecError where it cannot be."""
    # In the order of the variant: a later remedy sees what the earlier ones have made.
    draft = draft_of(spec)
    for remedy in remedies:
        draft = rewrite(draft, remedy, where)
    _check_targets(spec, draft.dataset, where)
    _check_objective(spec, draft, where)
    network = plan_network_on(draft.network, draft.dataset.facts)
    if network.parameters > MAX_PARAMETERS:
        message = f"the network has {network.parameters:,} parameters"
        raise SpecError(Problem("network", network.parameters, message, f"at most {MAX_PARAMETERS:,}"))
    sizes = _training_sizes(spec)
    per_epoch, steps = _steps(spec, sizes.train)
    _check_schedule(draft, steps, where)
    # The last batch of an epoch counts: one case has no variance, and torch raises in the middle of training.
    rest = 0 if spec.drop_last else sizes.train % spec.batch_size
    if _normalised_by_batch(network) and (rest or spec.batch_size) == 1:
        message = "batch normalisation needs more than one case in every batch"
        raise SpecError(Problem(where, "batch_norm", message, "batch_size of at least 2, drop_last true"))
    return Plan(
        network,
        draft.dataset,
        spec,
        remedies,
        draft.optimizer,
        draft.objective,
        draft.run_time,
        sizes,
        per_epoch,
        steps,
    )


def runs_per_variant(spec: ExperimentSpec) -> int:
    """One for each seed, and one for each rate and seed of tuning."""
    tune = spec.tune
    tried = 0 if tune is None else len(tune.learning_rate) * len(tune.seed_list())
    return len(spec.seed_list()) + tried


def _tuning_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """Why this cannot be tuned, each where it stands."""
    if spec.tune is None:
        return
    if spec.dataset.validation_fraction == 0:
        message = "tune chooses by the validation loss, and this keeps no data for it"
        yield Problem("dataset.validation_fraction", 0.0, message, "above 0, or left out (0.1)")
    if spec.steps == 0:
        yield Problem("steps", 0, "steps: 0 measures the untrained network, and tune needs training", "1 or more")
    if both := sorted(set(spec.seed_list()) & set(spec.tune.seed_list())):
        yield Problem("tune.seeds", both[0], "it is one of seeds, and tuning has seeds of its own", "other seeds")


def _contradicts_tuning(spec: ExperimentSpec, where: str, remedies: Sequence[RemedySpec]) -> Problem | None:
    if spec.tune is None or not any("learning_rate" in remedy.slots for remedy in remedies):
        return None
    message = "tune chooses the learning rate of every variant, and this remedy sets it"
    return Problem(where, "learning_rate", message, "tune, or the remedy learning_rate, not both")


def expand(spec: ExperimentSpec) -> tuple[Variant, ...]:
    """Every variant of the trial with its plan, the baseline first. SpecError where one cannot be."""
    named = named_variants(spec)
    # Counted before anything is planned: a refusal must not cost the planning of every variant.
    runs = len(named) * runs_per_variant(spec)
    if runs > MAX_RUNS:
        message = f"{len(named)} variants × {runs_per_variant(spec)} runs of each are {runs:,} runs"
        raise SpecError(Problem("seeds", len(spec.seed_list()), message, f"at most {MAX_RUNS:,} runs"))
    names = [name for name, _, _ in named]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SpecError(Problem("variants", twice, "two variants have one name", "a name of its own for each"))
    problems = [problem for name, where, remedies in named if (problem := contradiction(name, where, remedies))]
    problems += [problem for _, where, remedies in named if (problem := _contradicts_tuning(spec, where, remedies))]
    problems += _tuning_problems(spec)
    # All that contradict at once, so that a client mends them in one go.
    if problems:
        raise SpecError(*problems)
    return tuple(Variant(name, remedies, _plan(spec, remedies, where)) for name, where, remedies in named)


def plan_with(plan: Plan, *remedies: RemedySpec) -> Plan:
    """Of the same run with these remedies more, which have the last word on what they set. SpecError where it cannot
    be.
    """
    return _plan(plan.experiment, (*plan.remedies, *remedies), "remedies")


def plan_variant(spec: ExperimentSpec, name: str) -> Plan:
    """Of one variant of a spec that ``expand`` has accepted, without planning the others. LookupError where it has none
    of that name.
    """
    for named, where, remedies in named_variants(spec):
        if named == name:
            return _plan(spec, remedies, where)
    message = f"there is no variant {name!r}"
    raise LookupError(message)
