"""Runs made by hand: a trace with the levels and losses that a test names, and nothing trained."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradient_clinic.values import Array
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import RunFacts, RunSummary, Verdict
from models.analysis.verdict.summary import summarise
from models.plan import Plan, Variant, expand
from models.specs.experiment import ExperimentSpec

CHANCE = 2.302585
LEARNED = 0.2
DEEP: dict[str, Any] = {"depth": 20, "width": 64}
DEEP_HE: dict[str, Any] = {**DEEP, "activation": "relu", "init": {"kind": "kaiming_normal"}}


def experiment(
    remedies: Sequence[Mapping[str, object]] = (), network: Mapping[str, object] | None = None, **changes: object
) -> ExperimentSpec:
    """The fixed case of the contract: 20 layers of 64, Xavier sigmoid, digits, Adam 0.001, 110 steps."""
    deep: dict[str, object] = {"depth": 20, "width": 64, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
    spec: dict[str, object] = {
        "name": "case",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", **(deep if network is None else network)},
        "optimizer": {"kind": "adam"},
        "epochs": 10,
        "remedies": list(remedies),
    }
    spec.update(changes)
    return ExperimentSpec.model_validate(spec)


def plan_of(**network: Any) -> Plan:
    return expand(experiment((), network or None))[0].plan


def variants_of(*remedies: Mapping[str, object], **changes: Any) -> tuple[ExperimentSpec, tuple[Variant, ...]]:
    spec = experiment(remedies, **changes)
    return spec, expand(spec)


def even(layers: int, gain: float) -> list[float]:
    """ln rms δ of hidden layers with ``gain`` in each increment: the last is 0, the first (layers − 1)·gain."""
    return [gain * (layers - 1 - i) for i in range(layers)]


def trace_of(
    plan: Plan, start: Sequence[float], end: Sequence[float] | None = None, loss: float | Array = CHANCE, every: int = 1
) -> RunTrace:
    """ln rms δ is ``start`` in record 0 and ``end`` in all others; no unit is dead, h has rms 1, a step moves weights
    by a thousandth of themselves.
    """
    steps = np.arange(0, max(plan.steps, 1), every)
    count, records = len(plan.layers), len(steps)
    levels = np.tile(np.append(start if end is None else end, 0.0)[:, None], (1, records))
    levels[:-1, 0] = start
    quiet = np.zeros((count, records))
    names = ("weight_gradient_norm", "weight_gradient_max", "dead_fraction", "saturated_fraction")
    signals = {name: quiet.copy() for name in names} | {
        "activation_rms": quiet + 1.0,
        "activation_gradient_rms": np.exp(levels),
        "weight_norm": quiet + 1.0,
        "update_ratio": quiet + 0.001,
        "nonfinite_count": quiet.copy(),
    }
    return RunTrace(plan.network.judged, steps, signals, {"loss": np.broadcast_to(loss, (records,)).astype(float)})


def facts_of(plan: Plan, **changes: Any) -> RunFacts:
    facts = RunFacts(
        steps_asked=plan.steps,
        stopped_by=None,
        outcome="finished",
        chance_level=CHANCE,
        test_metric=0.9,
        test_loss=0.3,
        conditions=plan.conditions,
        step_seconds=0.01,
        device_seconds=1.0,
        peak_memory_bytes=1000,
        parameters=plan.network.parameters,
        overhead=1.1,
    )
    return dataclasses.replace(facts, **changes)


def summary_of(
    plan: Plan,
    start: float,
    end: float | None = None,
    loss: float | Array = CHANCE,
    **facts: Any,
) -> RunSummary:
    """A run whose total gains are ``start`` and ``end``, evenly over its hidden layers. As runs that are made by hand
    would be equal where trained ones are not, it says nothing of whether its trace is another's.
    """
    layers = len(plan.network.hidden)
    each = [even(layers, gain / max(1, layers - 1)) for gain in (start, start if end is None else end)]
    run = summarise(plan, trace_of(plan, each[0], each[1], loss), facts_of(plan, **facts))
    return dataclasses.replace(run, trace_digest=None)


def supported(verdict: Verdict) -> list[str]:
    """The remedies of its answers that something of the run speaks for."""
    return [answer.remedy for answer in verdict.answers if answer.basis != "usual"]
