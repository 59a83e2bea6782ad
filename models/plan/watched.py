"""The plan of a run that was trained elsewhere: what its watcher has said, in the place of what a spec would plan.

And what both kinds of plan have in common, which is all that a reader of traces needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from gradient_clinic.layers import Layer, Role, TimePoint
from gradient_clinic.signals import CURVES, CurveName
from gradient_clinic.verdict.case import Setup
from models.plan.variants import Plan, Variant
from models.specs.ingested import IngestedSpec, Watched, WatchedSetup

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
    """``kind``: whose cut of G holds."""

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
    """``optimizer``: its kind, in small letters. ``steps``: of the whole training, or those so far."""

    network: WatchedNetwork
    experiment: IngestedSpec
    setup: Setup
    optimizer: str
    every: int
    expected: int
    """Records, of the whole training."""
    steps: int
    told: tuple[CurveName, ...] = CURVES

    @property
    def layers(self) -> tuple[WatchedLayerPlan, ...]:
        return self.network.layers


@dataclass(frozen=True, slots=True)
class WatchedVariant:
    """One arm of an experiment that was trained elsewhere. What was changed in it only its name says."""

    name: str
    plan: WatchedPlan
    remedies: tuple[()] = ()


AnyPlan = Plan | WatchedPlan
AnyVariant = Variant | WatchedVariant


def plan_watched(spec: IngestedSpec, watched: Watched, steps: int) -> WatchedPlan:
    """``steps``: as the run's row has them now."""
    layers = tuple(WatchedLayerPlan(index, layer.judged) for index, layer in enumerate(watched.layers, start=1))
    return WatchedPlan(
        network=WatchedNetwork(watched.kind, layers, watched.parameters),
        experiment=spec,
        setup=_setup(watched.setup),
        optimizer=watched.optimizer.lower(),
        every=watched.every,
        expected=RECORDS if watched.steps is None else -(-watched.steps // watched.every),
        steps=steps,
        told=watched.curves,
    )


def _setup(said: WatchedSetup) -> Setup:
    return Setup(
        activation=None if said.activation is None else said.activation.judged,
        has_skips=said.has_skips,
        positions=said.positions,
        batch_size=said.batch_size,
        predicted_gain=said.predicted_gain,
        first_layer_gain=said.first_layer_gain,
        values=said.values,
    )
