"""Injected faults: each can be planned and does what it says; shares and the guess are right."""

import math

import pytest
import torch

from models.plan import expand
from models.specs.experiment import ExperimentSpec
from proofs.science.faults import BASES, NONE, Fault, Judged, body_of, faults, figures_of, promises
from proofs.science.running import loaded
from worker.trainer import Trainer


def judged(cause: str, named: tuple[str, ...], *, harmed: bool = True) -> Judged:
    return Judged("fault", cause, "relu", 0, harmed, "stalled", named)


def test_shares_are_over_runs_that_were_harmed() -> None:
    figures = figures_of(
        [
            judged("initialisation", ("initialisation",)),
            judged("initialisation", ("initialisation", "dead_units")),
            judged("initialisation", ("learning_rate",)),
            judged("initialisation", (), harmed=False),
        ]
    )
    assert (figures["runs"], figures["harmed"]) == (4, 3)
    assert figures["named"] == pytest.approx(2 / 3)
    assert figures["named_alone"] == pytest.approx(1 / 3)
    assert figures["guessed"] == pytest.approx(4 / 3 / 20)  # causes that a guess may draw from
    assert figures["faults"]["fault"]["causes"]["dead_units"] == 1
    assert figures["faults"]["fault"]["missed_in"] == {"relu": 1}
    assert all(line.held is None for line in promises(figures))


def trainer_of(fault: Fault) -> Trainer:
    plan = expand(ExperimentSpec.model_validate({"name": "fault", **body_of(fault)}))[0].plan
    data = loaded(plan.dataset, 0)
    return Trainer(plan, data, seed=0, device=torch.device("cpu"), dtype=torch.float32, record=False)


@pytest.mark.parametrize("fault", list(faults()), ids=lambda fault: f"{fault.name} {fault.base}")
def test_every_fault_changes_its_base_in_one_thing(fault: Fault) -> None:
    base, broken = body_of(Fault(NONE, fault.cause, fault.base, {})), body_of(fault)
    changed = [
        key for part in ("network", "optimizer") for key, value in broken[part].items() if base[part].get(key) != value
    ]
    assert len(changed) == (1 if fault.change else 0)


def test_faults_of_the_trainer_act_on_it() -> None:
    by_name = {fault.name: fault for fault in faults() if fault.base == "relu"}
    dead = by_name["a layer's biases − 30"]
    trainer = trainer_of(dead)
    dead.touch(trainer)
    biases = [bias for name, bias in trainer.model.named_parameters() if name.endswith("bias")]
    assert sum(bool((bias == -30.0).all()) for bias in biases) == 1
    scaled = by_name["inputs × 1e4"]
    largest = float(trainer.batches.part.x.abs().max())
    scaled.touch(trainer)
    assert math.isclose(float(trainer.batches.part.x.abs().max()), 1e4 * largest, rel_tol=1e-4)


def test_every_base_can_be_trained() -> None:
    for base in BASES:
        assert trainer_of(Fault(NONE, "learning_rate", base, {})).plan.steps == 250
