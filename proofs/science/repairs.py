"""A case with remedies put into it, alone and beside each other, and what training accuracy it then ends at.

Accuracies are kept as runs are, under what was trained: the same remedy is never trained twice in one case.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from models.plan import Plan, expand
from models.plan.idle import without_effect
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from proofs.science.cases.case import Case
from proofs.science.running import FOLDER, accuracy, finished, key_of, loaded
from worker.begun import laid_out
from worker.trainer import Trainer

Remedies = Sequence[Mapping[str, Any]]
"""Specs of one variant."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was put in, by kind, and the accuracy at the end: None where it cannot be put into this network."""

    remedy: str
    accuracy: float | None


def plan_with(case: Case, remedies: Remedies) -> Plan | None:
    """None where the case does not bear them, or they change nothing of it."""
    variants = [{"name": "with", "remedies": list(remedies)}]
    body = {"name": case.name, "stop_when": {"nonfinite_steps": None}, **case.body, "variants": variants}
    try:
        baseline, treated = expand(ExperimentSpec.model_validate(body))
    except (SpecError, ValidationError):
        return None
    return None if without_effect(treated.plan, baseline.plan) else treated.plan


def tried(case: Case, seed: int, remedies: Remedies, folder: Path = FOLDER) -> Tried:
    """Trained now, or read from ``folder``. What changes nothing is not trained, and ends as the case does."""
    name = "+".join(str(remedy["kind"]) for remedy in remedies)
    plan = plan_with(case, remedies)
    if plan is None:
        return Tried(name, None)
    file = folder / f"{key_of(plan, seed)}.json"
    if not file.is_file():
        folder.mkdir(exist_ok=True)
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(_trained(plan, seed)))
        draft.replace(file)
    return Tried(name, json.loads(file.read_text()))


def _trained(plan: Plan, seed: int) -> float:
    torch.set_num_threads(1)
    data = loaded(plan.dataset, seed)
    trainer = Trainer(plan, data, seed=seed, device=torch.device("cpu"), dtype=torch.float32, record=False)
    finished(trainer)
    return accuracy(laid_out(trainer.model), data.train)
