"""The same bits again: a training is repeated on the device, and one goes on there from the file of a checkpoint."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from models.plan import Plan
from proofs.gpu.check import Check, WrongError
from proofs.gpu.trials import NETWORKS, SEED, data_of, plan_of
from worker.checkpoints import packed, unpacked
from worker.engine import train
from worker.results import EpochResult, RunResult, Seen, Snapshot

STEPS, STOPPED_AT = 40, 23
"""Behind the clip's warm-up and in the midst of the learning rate's, so that both memories are in the file."""
TREATED: dict[str, Any] = {
    "variants": [
        {"name": "treated", "remedies": [{"kind": "ema_clip", "warm_up": 5}, {"kind": "warm_up", "steps": 30}]}
    ],
    "optimizer": {"kind": "adam"},
}
"""Remedies and an optimiser that keep state from step to step."""


def bits_of(training: list[Seen]) -> list[Any]:
    """All of a training that has to be the same, as bits: all but how long it took."""
    bits: list[Any] = []
    for seen in training:
        match seen:
            case StepRecord():
                curves = [getattr(seen, name) for name in CURVES if name != "step_seconds"]
                signals = [np.asarray(getattr(seen, name)).tobytes() for name in SIGNALS]
                bits.append((seen.step, signals, np.array(curves).tobytes(), seen.state_gradient_rms.tobytes()))
            case EpochResult():
                bits.append((seen.epoch, seen.loss.hex(), seen.metric.hex()))
            case RunResult():
                bits.append((seen.steps_done, seen.outcome, seen.stopped_by, seen.test_loss.hex(), seen.weights_hash))
    return bits


def checks(device: torch.device) -> Iterator[Check]:
    for kind in NETWORKS:
        plan = plan_of(kind, dropout=True, steps=STEPS, **TREATED)
        yield Check(f"{kind}, trained twice", partial(_repeats, plan, kind, device))
        yield Check(f"{kind}, from a checkpoint", partial(_resumes, plan, kind, device))


def _repeats(plan: Plan, kind: str, device: torch.device) -> str:
    return same(_trained(plan, kind, device), _trained(plan, kind, device))


def _resumes(plan: Plan, kind: str, device: torch.device) -> str:
    whole, before, file = _trained(plan, kind, device), [], b""
    for seen in train(plan, data_of(kind), seed=SEED, device=device, wanted=lambda step: step == STOPPED_AT):
        if isinstance(seen, Snapshot):
            file = packed(seen.state, device)
            break
        before.append(seen)
    # Through the file's bytes, as a worker takes a run up: packing and loading are a part of what must be exact.
    after = train(plan, data_of(kind), seed=SEED, device=device, state=unpacked(file, device))
    return f"stopped before step {STOPPED_AT}, {len(file):,} bytes kept; " + same(whole, [*before, *after])


def _trained(plan: Plan, kind: str, device: torch.device) -> list[Seen]:
    return list(train(plan, data_of(kind), seed=SEED, device=device))


def same(one: list[Seen], other: list[Seen]) -> str:
    """Raises WrongError with the first place where the bits differ."""
    here, there = bits_of(one), bits_of(other)
    if len(here) != len(there):
        message = f"{len(here)} records and results, then {len(there)}"
        raise WrongError(message)
    for place, (first, second) in enumerate(zip(here, there, strict=True)):
        if first != second:
            message = f"other bits from record {place} of {len(here)} on"
            raise WrongError(message)
    return f"{len(here)} records and results, bit for bit"
