"""The plan of a network that is code, of a loop elsewhere or of a plug-in: what one followed pass has found, in the
place of what a spec would plan.

And what both kinds of plan have in common, which is all that a reader of traces needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from gradient_clinic.layers import Layer, Role, TimePoint
from gradient_clinic.signals import CURVES, CurveName
from gradient_clinic.verdict.case import Setup
from models.plan.variants import Plan, Variant
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import IngestedSpec, Watched, WatchedLayer, WatchedSetup, WatchedSpec
from models.specs.remedy import RemedySpec

RECORDS: Final = 100_000
"""That a run of unknown length is taken to have: its rollups then hold 200 records a bucket."""


class RecordedLayer(Protocol):
    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def role(self) -> Role: ...


class RecordedNetwork(Protocol):
    @property
    def judged(self) -> tuple[Layer, ...]: ...
    @property
    def time(self) -> tuple[TimePoint, ...]: ...


class Recorded(Protocol):
    """What is recorded of a run: its layers from 1, the output last, and the states of its loops behind them."""

    @property
    def layers(self) -> Sequence[RecordedLayer]: ...
    @property
    def network(self) -> RecordedNetwork: ...
    @property
    def told(self) -> Sequence[CurveName]:
        """The curves that it has."""

    @property
    def steps(self) -> int: ...


@dataclass(frozen=True, slots=True)
class WatchedLayerPlan:
    index: int
    judged: Layer
    kind: Literal["watched"] = "watched"

    @property
    def name(self) -> str:
        return self.judged.name

    @property
    def role(self) -> Role:
        return self.judged.role


@dataclass(frozen=True, slots=True)
class WatchedNetwork:
    """``kind``: whose cut of G holds; "plugin" of one that no worker has built yet, which has no layers."""

    kind: str
    layers: tuple[WatchedLayerPlan, ...]
    parameters: int
    time: tuple[TimePoint, ...] = ()

    @property
    def hidden(self) -> tuple[WatchedLayerPlan, ...]:
        return tuple(layer for layer in self.layers if layer.role == "hidden")

    @property
    def judged(self) -> tuple[Layer, ...]:
        return tuple(layer.judged for layer in self.layers)


@dataclass(frozen=True, slots=True)
class WatchedPlan:
    """``optimizer``: its kind, in small letters. ``steps``: of the whole training, or those so far. ``trained``: of a
    plug-in, how this clinic trains it; None where others do.
    """

    network: WatchedNetwork
    experiment: IngestedSpec | ExperimentSpec
    setup: Setup
    optimizer: str
    every: int
    expected: int
    """Records, of the whole training."""
    steps: int
    trained: Plan | None = None
    told: tuple[CurveName, ...] = CURVES

    @property
    def layers(self) -> tuple[WatchedLayerPlan, ...]:
        return self.network.layers


@dataclass(frozen=True, slots=True)
class WatchedVariant:
    """One arm of an experiment on such a network. What others have changed in theirs only its name says."""

    name: str
    plan: WatchedPlan
    remedies: tuple[RemedySpec, ...] = ()


AnyPlan = Plan | WatchedPlan
AnyVariant = Variant | WatchedVariant


def plan_watched(spec: IngestedSpec, watched: Watched, steps: int) -> WatchedPlan:
    """``steps``: as the run's row has them now."""
    return WatchedPlan(
        network=_network(watched),
        experiment=spec,
        setup=_setup(watched.setup),
        # A watch says the class (AdamW), and rules know kinds (adamw).
        optimizer=watched.optimizer.lower(),
        every=watched.every,
        expected=RECORDS if watched.steps is None else -(-watched.steps // watched.every),
        steps=steps,
        told=watched.curves,
    )


def plan_code(plan: Plan, found: WatchedSpec | None) -> WatchedPlan:
    """Of a plug-in. ``found``: what a worker has seen of its network, None before one has built it."""
    return WatchedPlan(
        network=WatchedNetwork("plugin", (), 0) if found is None else _network(found),
        experiment=plan.experiment,
        setup=_setup(WatchedSetup() if found is None else found.setup),
        optimizer=plan.optimizer.kind,
        every=plan.experiment.trace.every,
        expected=plan.recorded_steps,
        steps=plan.steps,
        trained=plan,
    )


def rows_of(plan: AnyPlan) -> tuple[str, ...]:
    """What a trace has a row for: the layers, then the states of loops."""
    return tuple([layer.name for layer in plan.layers] + [point.name for point in plan.network.time])


def trained_here(variant: AnyVariant) -> Variant | None:
    """The variant as this clinic trains it; None where others have."""
    if isinstance(variant, Variant):
        return variant
    trained = variant.plan.trained
    return None if trained is None else Variant(variant.name, variant.remedies, trained)


def _network(found: WatchedSpec) -> WatchedNetwork:
    return WatchedNetwork(found.kind, _numbered(found.layers), found.parameters)


def _numbered(layers: Sequence[WatchedLayer]) -> tuple[WatchedLayerPlan, ...]:
    return tuple(WatchedLayerPlan(index, layer.judged) for index, layer in enumerate(layers, start=1))


def _setup(said: WatchedSetup) -> Setup:
    return Setup(
        activation=None if said.activation is None else said.activation.judged,
        has_skips=said.has_skips,
        positions=said.positions,
        batch_size=said.batch_size,
        predicted_gain=said.predicted_gain,
        first_layer_gain=said.first_layer_gain,
        weight_gains=tuple((its.layer, its.gain, its.usual) for its in said.weight_gains),
        values=said.values,
    )
