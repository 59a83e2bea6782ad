"""Trains every variant and seed of a spec without a service, and judges each run as the service would."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from worker.datasets import load
from worker.engine import train
from worker.randomness import generator
from worker.results import RunResult, Seen

PERTURBATION = 1e-6
"""Relative, of every initial weight: ten times what float32 rounds, and what another order of its sums leaves of some
layers' products.
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: its summary, the losses of its recorded steps, and its first record's ‖∂L/∂W‖ per layer."""

    variant: str
    seed: int
    summary: RunSummary
    losses: tuple[float, ...]
    first_gradient_norms: tuple[float, ...]
    seconds: float


def run_all(body: Mapping[str, Any], *, every: int = 1) -> list[Ran]:
    """Every run of a spec's body, in order of variants and seeds."""
    train_all = _TRAINER.get()
    return train_all(ExperimentSpec.model_validate({"name": "verdict", "trace": {"every": every}, **body}))


def train_here(spec: ExperimentSpec, perturbed: int | None = None) -> list[Ran]:
    """In this process; from perturbed weights where there is a seed to perturb them by."""
    # As a worker has it: another number of threads sums in another order.
    torch.set_num_threads(1)
    adjust = None if perturbed is None else partial(perturb, seed=perturbed)
    return [_run(variant.name, variant.plan, seed, adjust) for variant in expand(spec) for seed in spec.seed_list()]


Trainer = Callable[[ExperimentSpec], list[Ran]]
_TRAINER: ContextVar[Trainer] = ContextVar("trainer", default=train_here)


@contextmanager
def trained_by(trainer: Trainer) -> Iterator[None]:
    """Within, ``run_all`` hands each experiment to ``trainer``: a service, say, or one that keeps what it trains."""
    token = _TRAINER.set(trainer)
    try:
        yield
    finally:
        _TRAINER.reset(token)


@torch.no_grad()
def perturb(model: nn.Module, seed: int) -> None:
    """Each weight times 1 + 1e-6·N(0, 1). Zeros stay exact, as those of an initialisation that wants them."""
    noise = generator(seed, "perturbation")
    for weights in model.parameters():
        drawn = torch.randn(weights.shape, generator=noise, dtype=weights.dtype)
        weights.mul_(1.0 + PERTURBATION * drawn)


def by_variant(runs: Sequence[Ran]) -> dict[str, list[Ran]]:
    return {name: [run for run in runs if run.variant == name] for name in dict.fromkeys(run.variant for run in runs)}


def _run(variant: str, plan: Plan, seed: int, adjust: Callable[[nn.Module], None] | None) -> Ran:
    began = time.perf_counter()
    seen = list(train(plan, load(plan.dataset, seed), seed=seed, adjust=adjust))
    return ran(variant, plan, seed, seen, time.perf_counter() - began)


def ran(variant: str, plan: Plan, seed: int, seen: Sequence[Seen], seconds: float) -> Ran:
    """Of all that a run has yielded."""
    records = [its for its in seen if isinstance(its, StepRecord)]
    result = seen[-1]
    assert isinstance(result, RunResult)  # the engine's last word
    summary = summarise(plan, trace_of(plan, records), result.facts(plan))
    return Ran(
        variant,
        seed,
        summary,
        tuple(record.loss for record in records),
        tuple(records[0].weight_gradient_norm.tolist()),
        seconds,
    )


def trace_of(plan: Plan, records: Sequence[StepRecord]) -> RunTrace:
    # (records, signals, layers) turned into (signals, layers, records).
    signals = np.array([[getattr(record, name) for name in SIGNALS] for record in records]).transpose(1, 2, 0)
    states = np.array([record.state_gradient_rms for record in records]).T
    return RunTrace(
        layers=plan.network.judged,
        steps=np.array([record.step for record in records]),
        signals=dict(zip(SIGNALS, signals, strict=True)),
        curves={name: np.array([getattr(record, name) for record in records]) for name in CURVES},
        time=plan.network.time,
        state_gradient_rms=states,
    )
