"""Runs that are trained as one network: each is what it is alone, and a step of many launches what one of two does."""

from collections.abc import Iterator
from functools import partial

import torch

from gradient_clinic.probe.probe import StepRecord
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from proofs.gpu.check import Check, WrongError
from proofs.gpu.golden import farthest
from proofs.gpu.recording import ROUNDING, CountOperations
from proofs.gpu.trials import NETWORKS, SEED, data_of, plan_of
from proofs.outcomes.grouped import seen_by
from worker.datasets import load
from worker.groups.group import Group, Member
from worker.groups.mapped import MappedStep
from worker.groups.pace import Always
from worker.groups.structure import mapped_structure_of
from worker.groups.trial import MEMBERS, tried
from worker.trainer import Trainer

FEW, MANY = 2, 8
WIDTHS = (64, 256)
"""Of the networks whose gain is told."""


def checks(device: torch.device) -> Iterator[Check]:
    for kind in NETWORKS:
        if mapped_structure_of(plan_of(kind)) is not None:
            yield Check(f"{kind}, {FEW} runs as one", partial(_beside_alone, kind, device))
            yield Check(f"{kind}, operations of {FEW} and {MANY} runs as one", partial(_as_many, kind, device))


def gains(device: torch.device) -> Iterator[str]:
    """A member's time alone over its time together: figures for knowing only."""
    for width in WIDTHS:
        network = {"kind": "mlp", "depth": 20, "width": width}
        spec = {"name": "gain", "dataset": {"kind": "digits"}, "network": network, "optimizer": {"kind": "adam"}}
        plan = expand(ExperimentSpec.model_validate({**spec, "steps": 100}))[0].plan
        trial = tried(plan, load(plan.dataset, SEED), SEED, device)
        yield f"known   {MEMBERS} runs as one: {trial.gain:.2f}× as fast (mlp 20 × {width}, batch 128)"


def counted(trainers: list[Trainer]) -> CountOperations:
    """The operations of the second step: the first makes what is made once."""
    joint = MappedStep(trainers)
    joint.make()
    for trainer in trainers:
        trainer.due = 1
    counts = CountOperations()
    with counts:
        joint.make()
    return counts


def _trainer(kind: str, device: torch.device) -> Trainer:
    return Trainer(plan_of(kind), data_of(kind), seed=SEED, device=device, dtype=torch.float32, record=True)


def _beside_alone(kind: str, device: torch.device) -> str:
    group = Group([Member(_trainer(kind, device)) for _ in range(FEW)], Always(), MappedStep)
    alone = [seen for seen in _trainer(kind, device).run(lambda: None) if isinstance(seen, StepRecord)]
    records = [seen for seen in seen_by(group)[-1] if isinstance(seen, StepRecord)]
    apart = max(farthest(here, there) for here, there in zip(alone, records, strict=True))
    most = ROUNDING[torch.float32]
    told = f"the signals of {len(records)} steps lie {apart:.1e} apart at most, allowed {most:g}"
    # Written so that NaN fails too.
    if not apart <= most:
        raise WrongError(told)
    return told


def _as_many(kind: str, device: torch.device) -> str:
    few, many = (counted([_trainer(kind, device) for _ in range(members)]) for members in (FEW, MANY))
    told = (
        f"{few.operations.total()} and {many.operations.total()} operations, "
        f"{few.copies.total()} and {many.copies.total()} copies to the host"
    )
    # torch's own loss takes a number from the CPU to the CPU there, which is none on a GPU.
    one = device.type == "cpu" or many.copies.total() == 1
    if few.operations != many.operations or few.copies != many.copies or not one:
        raise WrongError(told)
    return told
