"""Every signal of every layer that a watch records, beside a slow oracle: autograd in float64, with every h kept."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradient_clinic.activations import Activation
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.rows import Row
from gradient_clinic.watcher.watch import Watch
from proofs.promise import Promise
from proofs.watched.networks import Training, drawn, untold, watched

STEPS: Final = 3
WITHIN: Final[Mapping[torch.dtype, float]] = {torch.float64: 1e-8, torch.float32: 1e-2}
"""Relative, by the format of the training. In float32 a pass is another one than the oracle: near a tie a ReLU or a
maximum goes the other way, and that unit's part of the gradient with it."""
SMALL: Final = 1e-12
"""A share or a norm this small may differ by as much."""


@dataclass
class Oracle:
    """A copy of one network in float64 while its loop makes a step. All is of the moment its optimiser steps."""

    model: nn.Module
    heard: dict[str, Tensor] = field(default_factory=dict)
    """The h of the last pass, whose gradients are still to come."""
    h: dict[str, Tensor] = field(default_factory=dict)
    delta: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)

    def hear(self, name: str, module: nn.Module) -> RemovableHandle:
        """Its output, of the last pass, before anything is done to it in place."""

        def keep(_: nn.Module, __: object, output: object) -> object:
            h = output[0] if isinstance(output, tuple) else output
            assert isinstance(h, Tensor)
            self.heard[name] = h.clone()
            self.heard[name].retain_grad()
            passed_on = self.heard[name].clone()
            return (passed_on, *output[1:]) if isinstance(output, tuple) else passed_on

        return module.register_forward_hook(keep)

    def look(self) -> None:
        """Before the step."""
        self.weights = {name: its.detach().clone() for name, its in self.model.named_parameters()}
        self.gradients = {name: its.grad.clone() for name, its in self.model.named_parameters() if its.grad is not None}
        self.delta = {name: h.grad.clone() for name, h in self.heard.items() if h.grad is not None}
        self.h = {name: h.detach().clone() for name, h in self.heard.items()}


def promises(name: str) -> Iterator[Promise]:
    """In the format of users, and in the oracle's own, where nothing is left to rounding."""
    for dtype, within in WITHIN.items():
        training = drawn(name)
        if dtype is torch.float64:
            training.in_float64()
        worst, values = deviations(training)
        kind = str(dtype).removeprefix("torch.")
        what = f"{name}, {kind}: {values:,} values of {STEPS} steps, the farthest from the oracle"
        yield Promise(what, f"≤ {within:g}", f"{worst:.1g}", worst <= within)


def deviations(training: Training) -> tuple[float, int]:
    """(the largest relative deviation, how many values were compared)."""
    watches = watched(training, every=1)
    worst, values = 0.0, 0
    for number in range(STEPS):
        before = copy.deepcopy(training)
        training.step(number, [watch.loss for watch in watches])
        for watch, oracle in zip(watches, told(before, number, watches), strict=True):
            assert not watch.closed, watch.remarks
            for row, found in zip(watch.rows, watch.records.kept()[-1].matrix.T, strict=True):
                expected = of_row(row, watch, oracle)
                values += len(expected)
                measured = dict(zip(SIGNALS, found.tolist(), strict=True))
                worst = max([worst, *(_apart(measured[name], value) for name, value in expected.items())])
    for watch in watches:
        watch.close()
    return worst, values


def told(training: Training, number: int, watches: list[Watch]) -> list[Oracle]:
    """The same step of a copy, in float64."""
    training.in_float64()
    oracles = [Oracle(model) for model in training.models]
    handles = [
        oracle.hear(row.name, oracle.model.get_submodule(normed.get(row.name, row.name)))
        for oracle, watch, normed in zip(oracles, watches, training.normed, strict=True)
        for row in watch.rows
        if row.place is not None
    ]
    for optimizer, oracle in zip(training.optimizers, oracles, strict=True):
        optimizer.register_step_pre_hook(lambda *_, its=oracle: its.look())
    training.step(number, [untold for _ in training.models])
    for handle in handles:
        handle.remove()
    return oracles


def of_row(row: Row, watch: Watch, oracle: Oracle) -> dict[str, float]:
    """The signals that this row has, by the oracle."""
    expected = {"nonfinite_count": 0.0}
    if row.weight is not None:
        name = next(name for name, its in watch.model.named_parameters() if its is row.weight)
        weight, gradient = oracle.weights[name], oracle.gradients[name]
        moved = oracle.model.get_parameter(name).detach() - weight
        norm = float(weight.norm())
        expected |= {
            "weight_gradient_norm": float(gradient.norm()),
            "weight_gradient_max": float(gradient.abs().max()),
            "weight_norm": norm,
            "update_ratio": float(moved.norm()) / norm,
        }
    if row.place is not None:
        h = oracle.h[row.name]
        expected |= {"activation_rms": _rms(h), "activation_gradient_rms": _rms(oracle.delta[row.name])}
        expected |= _of_units(row.activation, h.movedim(row.place.unit_axis, -1).flatten(0, -2).numpy())
    return expected


def _of_units(activation: Activation | None, h: Array) -> dict[str, float]:
    """Of (cases, units): units without a slope in any case, and places with less than a hundredth of φ's slope at 0."""
    if activation is None:
        return {"dead_fraction": 0.0, "saturated_fraction": 0.0}
    slopes, shape = activation.dphi(h), activation.shape
    return {
        "dead_fraction": 0.0 if shape.active is None else float((slopes == 0.0).all(axis=0).mean()),
        "saturated_fraction": 0.0 if shape.unsaturated is None else float((slopes < 0.01).mean()),
    }


def _rms(values: Tensor) -> float:
    return math.sqrt(float(values.square().mean()))


def _apart(found: float, expected: float) -> float:
    """Relative to the oracle; infinite where only one is a number."""
    if not math.isfinite(found):
        return math.inf
    return max(0.0, abs(found - expected) - SMALL) / max(abs(expected), SMALL)
