"""Experiments that were trained elsewhere: what their watcher says of them, of a run and of its network."""

import base64
import binascii
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from gradient_clinic.activations import SHAPES, Activation
from gradient_clinic.layers import Layer
from gradient_clinic.signals import CURVES, SIGNALS, CurveName
from gradient_clinic.values import Array
from models.specs.base import Problem, Spec, SpecError
from models.specs.bounds import MOST_STEPS
from models.specs.experiment import MAX_LABELS, ExperimentSpec, Label
from models.specs.loss import Metric
from models.specs.seeds import Seed

MOST_ROWS = 1_000
"""Of a watched network: as many as a network of ours may have layers."""
MOST_EVALUATIONS = 20_000
"""Of a log."""
LARGEST = 1e18
"""Of what is counted: parameters, positions, cases."""


class IngestedSpec(Spec):
    """One network in several variants and seeds, as somebody else's loop trains it.

    ``data`` names what it was trained on: experiments that name the same data are compared.
    """

    source: Literal["ingested"]
    name: Label
    data: Label | None = None
    metric: Metric = "accuracy"
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=MAX_LABELS)

    @property
    def optimizer(self) -> None:
        """Each run has told its own, in the conditions of its verdict."""
        return


StoredSpec = ExperimentSpec | IngestedSpec


def _known(function: str) -> str:
    if function not in SHAPES:
        message = f"no activation {function[:40]!r} is known; {', '.join(SHAPES)} are"
        raise ValueError(message)
    return function


class WatchedActivation(Spec):
    function: Annotated[str, AfterValidator(_known)]
    parameter: float = 0.0

    @property
    def judged(self) -> Activation:
        return Activation(self.function, self.parameter)


class WatchedLayer(Spec):
    """As ``gradient_clinic.layers.Layer``."""

    name: Label
    role: Literal["hidden", "branch", "output"]
    activation: WatchedActivation | None = None
    normalization: Label | None = None
    resized: bool = False

    @property
    def judged(self) -> Layer:
        activation = None if self.activation is None else self.activation.judged
        return Layer(self.name, self.role, activation, self.normalization, resized=self.resized)


Count = Annotated[int, Field(ge=1, le=LARGEST)]


class WatchedGain(Spec):
    """√σw² of a layer's weights, and the one that its activation bears."""

    layer: Label
    gain: float
    usual: float


class WatchedSetup(Spec):
    """What a watcher knows of ``gradient_clinic.verdict.case.Setup``."""

    activation: WatchedActivation | None = None
    has_skips: bool = False
    positions: Count = 1
    batch_size: Count = 1
    predicted_gain: float | None = None
    first_layer_gain: float | None = None
    weight_gains: tuple[WatchedGain, ...] = Field(default=(), max_length=MOST_ROWS)
    values: bool = False


def _has_an_axis(layers: tuple[WatchedLayer, ...]) -> tuple[WatchedLayer, ...]:
    if layers and not any(layer.role == "hidden" for layer in layers):
        message = "no layer is hidden: there is no depth axis to judge"
        raise ValueError(message)
    if len({layer.name for layer in layers}) != len(layers):
        message = "two layers have one name"
        raise ValueError(message)
    return layers


def _has_a_loss(curves: tuple[CurveName, ...]) -> tuple[CurveName, ...]:
    if "loss" not in curves:
        message = "a run without a loss cannot be judged"
        raise ValueError(message)
    if len(set(curves)) != len(curves):
        message = "one curve is named twice"
        raise ValueError(message)
    return curves


class WatchedSpec(Spec):
    """What was found of a network in its first pass. ``kind``: whose cut of G holds. ``every``: each so many steps one
    is recorded. ``steps``: of the whole training, where that is known.

    A log of a finished training has no ``layers``: it is judged by its loss alone. ``curves``: which ones are told, in
    the order of the rows that are sent; ``parameters``: 0 where nobody knows.
    """

    kind: Label
    layers: Annotated[tuple[WatchedLayer, ...], Field(max_length=MOST_ROWS), AfterValidator(_has_an_axis)]
    curves: Annotated[tuple[CurveName, ...], AfterValidator(_has_a_loss)] = CURVES
    setup: WatchedSetup = WatchedSetup()
    parameters: int = Field(ge=0, le=LARGEST)
    optimizer: Label
    every: int = Field(default=1, ge=1, le=MOST_STEPS)
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)


class Watched(WatchedSpec):
    """As it is stored: with the token of the one writer that the run has ever had, and who that was."""

    token: uuid.UUID
    writer: Label
    device: Label
    versions: dict[Label, Label] = Field(max_length=64)


class OpeningRequest(Spec):
    """One run of an experiment by its name, which is made where the owner has none of that name. ``token``: of the
    writer's own making; who holds it writes the run, and nobody else ever does.
    """

    token: uuid.UUID
    experiment: Label
    variant: Label = "baseline"
    seed: Seed = 0
    data: Label | None = None
    metric: Metric = "accuracy"
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=MAX_LABELS)
    network: WatchedSpec
    writer: Label
    device: Label = "cpu"
    versions: dict[Label, Label] = Field(default_factory=dict, max_length=64)

    @property
    def watched(self) -> Watched:
        said = {name: getattr(self.network, name) for name in WatchedSpec.model_fields}
        return Watched(**said, token=self.token, writer=self.writer, device=self.device, versions=self.versions)


class RecordsRequest(Spec):
    """Records one after the other, NaN and ±∞ as they are.

    ``signals``: base64 of little-endian float32 (signals, layers, records) in the order of docs/api.md, empty without
    layers; ``curves``: of float64 (curves, records) in that of the opening.
    """

    token: uuid.UUID
    signals: str
    curves: str
    chance_level: float | None = Field(default=None, gt=0.0)

    def arrays(self, layers: int, told: Sequence[CurveName]) -> tuple[Array, Array]:
        """(signals, layers, records) and (curves, records), NaN for curves that are not ``told``.

        SpecError where they are none, or do not fit.
        """
        rows = _numbers("curves", self.curves, "<f8", len(told))
        curves = np.full((len(CURVES), rows.shape[1]), np.nan)
        curves[[CURVES.index(name) for name in told]] = rows
        if not layers:
            return self._without_layers(rows.shape[1]), curves
        signals = _numbers("signals", self.signals, "<f4", len(SIGNALS) * layers)
        if not curves.shape[1] or curves.shape[1] != signals.shape[1]:
            message = f"there are {signals.shape[1]} records of signals and {curves.shape[1]} of curves"
            raise SpecError(Problem("curves", curves.shape[1], message, "as many of both, and at least one"))
        return signals.reshape(len(SIGNALS), layers, -1), curves

    def _without_layers(self, records: int) -> Array:
        if self.signals or not records:
            both = f"there are {records} records of curves, and signals although the run has no layers"
            message = both if self.signals else "no record is sent"
            raise SpecError(Problem("signals", self.signals[:40], message, "no signals, and at least one record"))
        return np.empty((len(SIGNALS), 0, records))


def _numbers(field: str, text: str, dtype: str, rows: int) -> Array:
    """(rows, records)."""
    try:
        sent = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SpecError(Problem(field, text[:40], f"this is not base64: {error}", "base64")) from error
    row = np.dtype(dtype).itemsize * rows
    if len(sent) % row:
        message = f"{len(sent)} bytes are no whole records of {rows} numbers"
        raise SpecError(Problem(field, len(sent), message, f"a multiple of {row} bytes"))
    values: np.ndarray[Any, np.dtype[Any]] = np.frombuffer(sent, dtype)
    return values.reshape(rows, -1).astype(np.float64)


class Evaluations(Spec):
    """What a log has of evaluations, at the steps that it names.

    ``loss``, ``metric``: base64 of little-endian float64, one for each step, NaN and ±∞ as they are; null where it has
    none.
    """

    steps: tuple[Annotated[int, Field(ge=0, le=MOST_STEPS)], ...] = Field(min_length=1, max_length=MOST_EVALUATIONS)
    loss: str | None = None
    metric: str | None = None

    def in_order(self) -> Iterator[tuple[int, float | None, float | None]]:
        """(step, loss, metric). SpecError where they do not fit."""
        columns = [self._column(name, sent) for name, sent in (("loss", self.loss), ("metric", self.metric))]
        return iter(sorted(zip(self.steps, *columns, strict=True), key=lambda its: its[0]))

    def _column(self, name: str, sent: str | None) -> Sequence[float | None]:
        if sent is None:
            return [None] * len(self.steps)
        values: list[float] = _numbers(f"evaluations.{name}", sent, "<f8", 1)[0].tolist()
        if len(values) != len(self.steps):
            message = f"there are {len(values)} values and {len(self.steps)} steps"
            raise SpecError(Problem(f"evaluations.{name}", len(values), message, "one for each step"))
        return values


class EndingRequest(Spec):
    """What is known of a run at its end. ``error``: why it has no end that could be judged."""

    token: uuid.UUID
    steps: int = Field(ge=1, le=MOST_STEPS)
    outcome: Literal["finished", "diverged"] = "finished"
    conditions: Label
    chance_level: float | None = Field(default=None, gt=0.0)
    test_loss: float | None = None
    test_metric: float | None = None
    validation_loss: float | None = None
    step_seconds: float | None = Field(default=None, ge=0.0)
    seconds: float = Field(default=0.0, ge=0.0)
    overhead: float = Field(default=1.0, ge=0.0)
    evaluations: Evaluations | None = None
    error: Label | None = None
