"""What training tells as it goes and when it ends."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.verdict.shapes import RunFacts
from models.plan import Plan

StoppedBy = Literal["nonfinite_steps", "loss_above"]
TrainState = dict[str, Any]
"""All that a run carries from one step to the next, as tensors, numbers and strings. Data order is no part of it."""


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Validation at the end of an epoch (from 0)."""

    epoch: int
    loss: float
    metric: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """The engine's last word. ``step_seconds`` is the median step without recording (of the last 10,000; of a member of
    a group, of the steps that it has made alone). ``overhead`` is the factor by which recording lengthened training.
    ``peak_memory_bytes`` is CUDA's count; on the CPU it is the sum of parameters, their gradients, the optimiser's
    state and one batch's activations. ``weights_hash`` covers every entry of the state.
    """

    steps_done: int
    outcome: Literal["finished", "diverged"]
    stopped_by: StoppedBy | None
    chance_level: float
    validation_loss: float | None
    test_loss: float
    test_metric: float
    step_seconds: float
    device_seconds: float
    overhead: float
    peak_memory_bytes: int
    weights_hash: str
    device: torch.device
    majority_share: float | None
    neighbour_accuracy: float | None
    test_cases: int
    balanced_accuracy: float | None
    target_offset: float | None

    def facts(self, plan: Plan) -> RunFacts:
        """What analysis reads of the run beside its trace."""
        return RunFacts(
            steps_asked=plan.steps,
            stopped_by=self.stopped_by,
            outcome=self.outcome,
            chance_level=self.chance_level,
            test_metric=self.test_metric,
            test_loss=self.test_loss,
            validation_loss=self.validation_loss,
            conditions=plan.conditions,
            step_seconds=self.step_seconds,
            device_seconds=self.device_seconds,
            peak_memory_bytes=self.peak_memory_bytes,
            parameters=plan.network.parameters,
            overhead=self.overhead,
            majority_share=self.majority_share,
            neighbour_accuracy=self.neighbour_accuracy,
            test_cases=self.test_cases,
            balanced_accuracy=self.balanced_accuracy,
            target_offset=self.target_offset,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run before step ``step``, all that came earlier having been yielded. The tensors are those that training
    goes on with: keep a copy before the next step.
    """

    step: int
    epochs: int
    state: TrainState


class StateRefusedError(Exception):
    """A state that this run cannot go on from: it begins at step 0. Nothing has been yielded."""


Seen = StepRecord | EpochResult | Snapshot | RunResult
"""What training yields."""


def apart(state: Any) -> Any:
    """Copies of tensors that are parts of a larger one, as members of a group have: a file would keep all of it."""
    match state:
        case Tensor():
            return state.clone() if state.untyped_storage().nbytes() > state.nbytes else state
        case dict():
            return {name: apart(its) for name, its in state.items()}
        case list():
            return [apart(its) for its in state]
    return state
