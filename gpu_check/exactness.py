"""The same bits again: a training repeated on the device, and one that goes on there from a checkpoint's file."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from gpu_check.check import Check, Wrong
from gpu_check.trials import NETWORKS, SEED, data_of, plan_of
from models.plan import Plan
from models.signals import CURVES, SIGNALS
from worker.checkpoints import packed, unpacked
from worker.engine import EpochResult, RunResult, Seen, Snapshot, train
from worker.probe import StepRecord

STEPS, STOPPED_AT = 40, 23
TREATED: dict[str, Any] = {
    "variants": [
        {"name": "treated", "remedies": [{"kind": "ema_clip", "warm_up": 5}, {"kind": "warm_up", "steps": 30}]}
    ],
    "optimizer": {"kind": "adam"},
}
"""Remedies and an optimiser that remember."""


def left_by(seen: list[Seen]) -> list[Any]:
    """All of a training that has to be the same, as bits: not how long it took."""
    left: list[Any] = []
    for one in seen:
        match one:
            case StepRecord():
                curves = [getattr(one, name) for name in CURVES if name != "step_seconds"]
                signals = [np.asarray(getattr(one, name)).tobytes() for name in SIGNALS]
                left.append((one.step, signals, np.array(curves).tobytes(), one.state_gradient_rms.tobytes()))
            case EpochResult():
                left.append((one.epoch, one.loss.hex(), one.metric.hex()))
            case RunResult():
                left.append((one.steps_done, one.outcome, one.stopped_by, one.test_loss.hex(), one.weights_hash))
    return left


def checks(device: torch.device) -> Iterator[Check]:
    for kind in NETWORKS:
        plan = plan_of(kind, dropout=True, steps=STEPS, **TREATED)
        yield Check(f"{kind}, trained twice", partial(_repeats, plan, kind, device))
        yield Check(f"{kind}, from a checkpoint", partial(_resumes, plan, kind, device))


def _repeats(plan: Plan, kind: str, device: torch.device) -> str:
    return same(_trained(plan, kind, device), _trained(plan, kind, device))


def _resumes(plan: Plan, kind: str, device: torch.device) -> str:
    whole, before, file = _trained(plan, kind, device), [], b""
    for one in train(plan, data_of(kind), seed=SEED, device=device, wanted=lambda step: step == STOPPED_AT):
        if isinstance(one, Snapshot):
            file = packed(one.state, device)
            break
        before.append(one)
    after = train(plan, data_of(kind), seed=SEED, device=device, state=unpacked(file, device))
    return f"stopped before step {STOPPED_AT}, {len(file):,} bytes kept; " + same(whole, [*before, *after])


def _trained(plan: Plan, kind: str, device: torch.device) -> list[Seen]:
    return list(train(plan, data_of(kind), seed=SEED, device=device))


def same(one: list[Seen], other: list[Seen]) -> str:
    """Wrong with the first place where the bits differ."""
    here, there = left_by(one), left_by(other)
    if len(here) != len(there):
        message = f"{len(here)} records and results, then {len(there)}"
        raise Wrong(message)
    for place, (its, others) in enumerate(zip(here, there, strict=True)):
        if its != others:
            message = f"other bits from record {place} of {len(here)} on"
            raise Wrong(message)
    return f"{len(here)} records and results, bit for bit"
