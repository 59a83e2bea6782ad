"""From spec to plan: plain layer records that the worker builds, theory predicts and ``validate`` counts.

Structural remedies (initialisation, activation, normalisation, rate) are spec → spec rewrites here, so that no
effect is written twice; a variant whose remedies contradict, or that the data cannot feed, is refused here.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from models.activations import Activation
from models.designs import contradiction, named_variants
from models.specs.base import Problem, SpecError
from models.specs.dataset import DATASETS, SplitSizes, split_sizes
from models.specs.experiment import MAX_RUNS, MAX_STEPS, ExperimentSpec, StopWhenSpec
from models.specs.init import InitSpec, OrthogonalInit
from models.specs.network import (
    BatchNormSpec,
    LayerNormSpec,
    MlpSpec,
    NetworkSpec,
    NormalizationSpec,
    activation_of,
)
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import (
    ActivationRemedy,
    BatchNormRemedy,
    ClipNormRemedy,
    InitRemedy,
    L2Remedy,
    LayerNormRemedy,
    LearningRateRemedy,
    OrthogonalInitRemedy,
    RemedySpec,
)

MAX_PARAMETERS = 200_000_000


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One weight tensor with its normalisation and activation; ``index`` from 1 in forward order.

    The output layer has no activation and no normalisation. Dropout follows the activation.
    """

    index: int
    name: str
    kind: Literal["linear"]
    role: Literal["hidden", "output"]
    fan_in: int
    fan_out: int
    init: InitSpec
    normalization: NormalizationSpec | None = None
    activation: Activation | None = None
    dropout: float = 0.0

    @property
    def parameters(self) -> int:
        """Trainable numbers: weights, biases, the norm's γ and β, a learned slope."""
        affine = self.normalization is not None and self.normalization.affine
        learned_slope = self.activation is not None and self.activation.function == "prelu"
        return self.fan_in * self.fan_out + self.fan_out + 2 * self.fan_out * affine + learned_slope


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The layers in forward order, the output layer last."""

    kind: Literal["mlp"]
    layers: tuple[LayerPlan, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def hidden(self) -> tuple[LayerPlan, ...]:
        return tuple(layer for layer in self.layers if layer.role == "hidden")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one run needs but its seed: the network, the data's sizes, how it is trained, what is recorded."""

    network: NetworkPlan
    experiment: ExperimentSpec
    optimizer: OptimizerSpec
    run_time: tuple[RemedySpec, ...]
    sizes: SplitSizes
    steps_per_epoch: int
    steps: int

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        return self.network.layers

    @property
    def stop_when(self) -> StopWhenSpec:
        return self.experiment.stop_when

    @property
    def recorded_steps(self) -> int:
        """How many records the run leaves: every ``every``-th step from 0, and one for ``steps: 0``."""
        return max(1, math.ceil(self.steps / self.experiment.trace.every))

    @property
    def conditions(self) -> str:
        """What every verdict on training holds for, in words: 'adam 0.001, batch 128, 110 steps'."""
        rate = f"{self.optimizer.kind} {self.optimizer.learning_rate:g}"
        return f"{rate}, batch {self.experiment.batch_size}, {self.steps} steps"


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of the trial: the baseline or a set of remedies, with its plan."""

    name: str
    remedies: tuple[RemedySpec, ...]
    plan: Plan


# --- structural remedies: spec → spec ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """What remedies rewrite, and those that act at run time, gathered."""

    network: NetworkSpec
    optimizer: OptimizerSpec
    run_time: tuple[RemedySpec, ...] = ()

    def with_network(self, **changes: object) -> "_Draft":
        return _Draft(self.network.model_copy(update=changes), self.optimizer, self.run_time)


def _orthogonal_init(draft: _Draft, remedy: OrthogonalInitRemedy) -> _Draft:
    return draft.with_network(init=OrthogonalInit(kind="orthogonal", gain=remedy.gain))


def _init(draft: _Draft, remedy: InitRemedy) -> _Draft:
    return draft.with_network(init=remedy.init)


def _batch_norm(draft: _Draft, remedy: BatchNormRemedy) -> _Draft:
    return draft.with_network(normalization=BatchNormSpec(**remedy.model_dump()))


def _layer_norm(draft: _Draft, remedy: LayerNormRemedy) -> _Draft:
    return draft.with_network(normalization=LayerNormSpec(**remedy.model_dump()))


def _activation(draft: _Draft, remedy: ActivationRemedy) -> _Draft:
    return draft.with_network(activation=remedy.function, negative_slope=remedy.negative_slope, alpha=remedy.alpha)


def _learning_rate(draft: _Draft, remedy: LearningRateRemedy) -> _Draft:
    return _Draft(draft.network, draft.optimizer.model_copy(update={"learning_rate": remedy.value}), draft.run_time)


def _at_run_time(draft: _Draft, remedy: ClipNormRemedy | L2Remedy) -> _Draft:
    return _Draft(draft.network, draft.optimizer, (*draft.run_time, remedy))


REWRITES: dict[str, Callable[[_Draft, Any], _Draft]] = {
    "orthogonal_init": _orthogonal_init,
    "init": _init,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "activation": _activation,
    "learning_rate": _learning_rate,
    "l2": _at_run_time,
    "clip_norm": _at_run_time,
}


# --- the network ------------------------------------------------------------------------------------------------


def plan_network(network: MlpSpec, input_width: int, output_width: int) -> NetworkPlan:
    """The layers of an ``mlp`` between ``input_width`` features and ``output_width`` outputs."""
    activation = activation_of(network.activation, network.negative_slope, network.alpha)
    widths = (input_width, *network.hidden_widths())
    hidden = tuple(
        LayerPlan(
            index=index + 1,
            name=f"hidden.{index}",
            kind="linear",
            role="hidden",
            fan_in=fan_in,
            fan_out=fan_out,
            init=network.init,
            normalization=network.normalization,
            activation=activation,
            dropout=network.dropout,
        )
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths))
    )
    output = LayerPlan(
        index=len(hidden) + 1,
        name="output",
        kind="linear",
        role="output",
        fan_in=widths[-1],
        fan_out=output_width,
        init=network.init,
    )
    return NetworkPlan("mlp", (*hidden, output))


# --- the variants -----------------------------------------------------------------------------------------------


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
    return sizes


def _smallest_batch(spec: ExperimentSpec, train_cases: int) -> int:
    rest = train_cases % spec.batch_size
    return spec.batch_size if spec.drop_last or rest == 0 else rest


def _plan(spec: ExperimentSpec, remedies: Sequence[RemedySpec], where: str) -> Plan:
    draft = _Draft(spec.network, spec.optimizer)
    for remedy in remedies:
        draft = REWRITES[remedy.kind](draft, remedy)
    facts = DATASETS[spec.dataset.kind].facts
    network = plan_network(draft.network, facts.features, facts.classes)
    if network.parameters > MAX_PARAMETERS:
        message = f"the network has {network.parameters:,} parameters"
        raise SpecError(Problem("network", network.parameters, message, f"at most {MAX_PARAMETERS:,}"))
    sizes = _training_sizes(spec)
    per_epoch, steps = _steps(spec, sizes.train)
    normalization = draft.network.normalization
    if normalization is not None and normalization.kind == "batch_norm" and _smallest_batch(spec, sizes.train) == 1:
        message = "batch normalisation needs more than one case in every batch"
        raise SpecError(Problem(where, "batch_norm", message, "batch_size of at least 2, drop_last true"))
    return Plan(network, spec, draft.optimizer, draft.run_time, sizes, per_epoch, steps)


def expand(spec: ExperimentSpec) -> tuple[Variant, ...]:
    """Every variant of the trial with its plan, the baseline first. SpecError where one cannot be."""
    named = named_variants(spec)
    runs = len(named) * len(spec.seed_list())
    if runs > MAX_RUNS:
        message = f"{len(named)} variants × {len(spec.seed_list())} seeds are {runs:,} runs"
        raise SpecError(Problem("seeds", len(spec.seed_list()), message, f"at most {MAX_RUNS:,} runs"))
    names = [name for name, _, _ in named]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SpecError(Problem("variants", twice, "two variants have one name", "a name of its own for each"))
    problems = [problem for name, where, remedies in named if (problem := contradiction(name, where, remedies))]
    if problems:
        raise SpecError(*problems)
    return tuple(Variant(name, remedies, _plan(spec, remedies, where)) for name, where, remedies in named)
