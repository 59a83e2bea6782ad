"""Small trials for the tests of training: a plan with changes, its data, and all that a run yields."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from gradient_clinic.probe.probe import StepRecord, attach
from models.plan import Plan, expand
from models.specs.dataset import DatasetSpec
from models.specs.experiment import ExperimentSpec
from tests.networks import REQUIRED, TREATABLE
from worker.datasets import load
from worker.datasets.split import TrialData
from worker.engine import train
from worker.results import EpochResult, RunResult
from worker.trainer import Trainer

CPU = torch.device("cpu")
WIDE = {"kind": "gaussian", "weight_variance": 6.0, "bias_variance": 1.0}
"""Large enough that some entries saturate and some units die in a batch of a few cases."""


def spec_of(network: dict[str, Any] | None = None, **changes: Any) -> ExperimentSpec:
    """Digits, two hidden layers, Adam, 3 steps in batches of 6, unless changed."""
    asked: dict[str, Any] = {
        "name": "small",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "hidden": [12, 9], "init": WIDE, **(network or {})},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 6,
        **changes,
    }
    if "epochs" not in asked:
        asked.setdefault("steps", 3)
    return ExperimentSpec.model_validate(asked)


def plan_of(network: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The plan of the last variant: the baseline, or the one with the remedy that is given."""
    return expand(spec_of(network, **changes))[-1].plan


def spec_of_kind(asked: dict[str, Any], **changes: Any) -> ExperimentSpec:
    """Three Adam steps in batches of 6 of a trial of ``tests.networks``."""
    usual = {
        "name": "small",
        "dataset": {"kind": "digits"},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 6,
        "steps": 3,
    }
    return ExperimentSpec.model_validate({**usual, **asked, **changes})


TEACHER: dict[str, Any] = {"kind": "teacher_student", "cases": 60, "singular_values": [9.0]}
ONLY_ON: dict[str, dict[str, Any]] = {"standardise_targets": {"dataset": TEACHER, "network": TREATABLE["mlp"]}}
"""What a remedy that is not for every target is tried on."""


def treated(remedy: str, network: dict[str, Any], **changes: Any) -> ExperimentSpec:
    """A small trial of a remedy by its kind, under plain SGD."""
    remedies = [{"kind": remedy, **REQUIRED.get(remedy, {})}]
    sgd = {"kind": "sgd", "learning_rate": 0.1}
    return spec_of_kind(
        {"network": network, "remedies": remedies, "optimizer": sgd, **ONLY_ON.get(remedy, {})}, **changes
    )


@functools.lru_cache(maxsize=64)
def loaded(dataset: DatasetSpec, seed: int) -> TrialData:
    """Read once: no run changes its data."""
    return load(dataset, seed)


def data_of(plan: Plan, seed: int = 0) -> TrialData:
    return loaded(plan.dataset, seed)


def trainer_of(plan: Plan, *, seed: int = 0, dtype: torch.dtype = torch.float32, record: bool = True) -> Trainer:
    return Trainer(plan, data_of(plan, seed), seed=seed, device=CPU, dtype=dtype, record=record)


def run_of(plan: Plan, **changes: Any) -> tuple[list[StepRecord], list[EpochResult], RunResult]:
    """Everything that one run yields, by kind."""
    seed = changes.setdefault("seed", 0)
    seen = list(train(plan, data_of(plan, seed), **changes))
    result = seen[-1]
    assert isinstance(result, RunResult)
    records = [one for one in seen if isinstance(one, StepRecord)]
    return records, [one for one in seen if isinstance(one, EpochResult)], result


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def record_of(model: nn.Module, x: Tensor) -> StepRecord:
    probe = attach(model)
    model(x).sum().backward()
    record = probe.record()
    probe.detach()
    return record
