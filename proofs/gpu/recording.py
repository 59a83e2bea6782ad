"""The meter for devices: it gives the numbers of the host's meter, with one copy to the host a record."""

import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradient_clinic.probe.meters.device import DeviceMeter
from gradient_clinic.probe.meters.host import HostMeter
from gradient_clinic.probe.meters.meter import Meter
from gradient_clinic.probe.probe import Probe, StepRecord
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from proofs.gpu.check import Check, WrongError
from proofs.gpu.golden import farthest
from proofs.gpu.trials import NETWORKS, SEED, data_of, plan_of
from worker.cadence import share
from worker.datasets import load
from worker.trainer import Trainer

ROUNDING = {torch.float64: 1e-8, torch.float32: 2e-2}
"""As for golden cases, over a whole step. A GPU may compute convolutions in float32 with ten bits (TF32)."""

WIDTHS = (64, 256)
DEPTH = 20
"""Of the networks whose overhead is told."""


class CountOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations on tensors, and those among them that bring numbers to the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        name = str(function.overloadpacket)
        self.operations[name] += 1
        # A plain copy and those that hide in an ``if``, a comparison or ``.item()``: each stops the host until the GPU
        # is done.
        to_host = name == "aten._to_copy" and keywords.get("device") == torch.device("cpu")
        if to_host or name in {"aten._local_scalar_dense", "aten.is_nonzero", "aten.equal", "aten.item"}:
            self.copies[name] += 1
        return function(*args, **keywords)


def checks(device: torch.device) -> Iterator[Check]:
    for kind in NETWORKS:
        for dtype, most in ROUNDING.items():
            name = f"{kind}, meter of the device beside the host's, {str(dtype).removeprefix('torch.')}"
            yield Check(name, partial(_beside_the_host, kind, device, dtype, most))
        yield Check(f"{kind}, copies to the host", partial(_copies_once, kind, device))
        if device.type == "cuda":
            yield Check(f"{kind}, waiting for the device", partial(_waits_once, kind, device))


def _trainer(kind: str, device: torch.device, dtype: torch.dtype, meter: type[Meter]) -> Trainer:
    trainer = Trainer(plan_of(kind), data_of(kind), seed=SEED, device=device, dtype=dtype, record=True)
    assert isinstance(trainer.probe, Probe)  # record=True
    # Put in its place: by itself a trainer takes the host's on a CPU, and a rehearsal has to meet the device's too.
    trainer.probe.meter = meter(trainer.probe.points)
    return trainer


def _first(kind: str, device: torch.device, dtype: torch.dtype, meter: type[Meter]) -> StepRecord:
    trainer = _trainer(kind, device, dtype, meter)
    record = trainer.step(0)
    trainer.close()
    assert record is not None  # every step is recorded
    return record


def _beside_the_host(kind: str, device: torch.device, dtype: torch.dtype, most: float) -> str:
    there = _first(kind, device, dtype, DeviceMeter)
    here = _first(kind, torch.device("cpu"), dtype, HostMeter)
    apart = farthest(here, there)
    seen = f"the signals of {len(here.layers)} layers lie {apart:.1e} apart at most, allowed {most:g}"
    # Written so that NaN fails too.
    if not apart <= most:
        raise WrongError(seen)
    return seen


def _copies_once(kind: str, device: torch.device) -> str:
    trainer = _trainer(kind, device, torch.float32, DeviceMeter)
    # The first step makes what is made once; counted is one like all that follow.
    trainer.step(0)
    with CountOperations() as counts:
        trainer.step(1)
    trainer.close()
    return _exactly_one("copies to the host in a recorded step", counts.copies.total())


def _waits_once(kind: str, device: torch.device) -> str:
    """By torch's own warnings of calls that wait for the device."""
    trainer = _trainer(kind, device, torch.float32, DeviceMeter)
    trainer.step(0)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            trainer.step(1)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    trainer.close()
    return _exactly_one("calls that wait in a recorded step", sum("synchroniz" in str(each.message) for each in heard))


def _exactly_one(what: str, number: int) -> str:
    seen = f"{number} {what}"
    if number != 1:
        raise WrongError(seen)
    return seen


def overhead(device: torch.device) -> Iterator[str]:
    """A recorded step over an unrecorded one of the same training, in turns: a figure for knowing only."""
    for width in WIDTHS:
        spec = {
            "name": "overhead",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": DEPTH, "width": width},
            "optimizer": {"kind": "adam"},
            "steps": 1_000,
            # As ``share`` needs it: recorded and plain steps in turn meet the same weights and the same caches.
            "trace": {"every": 2},
        }
        plan = expand(ExperimentSpec.model_validate(spec))[0].plan
        ratio = 1.0 + share(plan, load(plan.dataset, SEED), SEED, device)
        yield f"known   recording: {ratio:.2f}× an untraced step (mlp {DEPTH} × {width}, batch 128)"
