"""One run in progress, step by step: what ``engine`` makes a generator of, and ``groups`` trains beside others."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor

from gradient_clinic.probe.meters.meter import Scalar
from gradient_clinic.probe.probe import Probe, StepRecord
from models.plan import Plan
from models.plan.over_steps import factor_of
from worker.batches import Batches
from worker.begun import begun
from worker.datasets.neighbours import neighbour_accuracy
from worker.datasets.split import TrialData
from worker.evaluation import balanced_accuracy, evaluate
from worker.memory import peak_bytes
from worker.networks.network import weights_hash
from worker.networks.parts import Dropout
from worker.objective import Objective
from worker.optimizers import build_optimizer
from worker.plugins.listening import RowProbe
from worker.plugins.module import PluginNetwork
from worker.plugins.shelf import NO_SHELF, Shelf
from worker.remedies import at_run_time
from worker.remedies.base import Bound, Clipping, Decay, GradientRule, Penalty, Precision, Schedule
from worker.remedies.norms import norm_of
from worker.results import EpochResult, RunResult, Seen, Snapshot, StateRefusedError, StoppedBy, TrainState, apart

TIMES_KEPT = 10_000
"""A long run's memory must not grow with its steps: their median time is that of the last ones."""


def never(_step: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Due:
    """Step ``step`` is to be made before the course goes on."""

    step: int


class Trainer:
    """One run in progress: the network, its optimiser, its data on the device."""

    def __init__(  # noqa: PLR0913
        self,
        plan: Plan,
        data: TrialData,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        record: bool,
        shelf: Shelf = NO_SHELF,
    ) -> None:
        self.plan, self.seed, self.device = plan, seed, device
        if device.type == "cuda":
            # This process has trained other runs; the peak that is told is this one's.
            torch.cuda.reset_peak_memory_stats(device)
        self.objective = Objective(plan, data, device)
        self.chance_level = data.chance_level(plan.objective)
        self.majority_share = data.majority_share() if plan.experiment.metric == "accuracy" else None
        self.neighbour_accuracy = neighbour_accuracy(data) if plan.experiment.metric == "accuracy" else None
        self.uneven, self.target_offset = data.is_uneven(), data.target_offset()
        parts = (part.to(device, dtype) for part in (data.train, data.validation, data.test))
        train_part, self.validation_part, self.test_part = parts
        self.batches = Batches(train_part, seed, plan.experiment.batch_size, plan.steps_per_epoch)
        self.model = begun(plan, seed, device, dtype, partial(self.batches.of, 0), shelf)
        self.frozen = self.model.parameters_of(plan.network.frozen)
        # By identity: == between tensors compares their entries.
        frozen = {id(parameter) for parameter in self.frozen}
        self.parameters = [its for its in self.model.parameters() if its.requires_grad and id(its) not in frozen]
        weights = self.model.layer_weights()
        hidden, maps = ([its for its in some if id(its) not in frozen] for some in (weights.hidden, weights.maps))
        self.bound = Bound(hidden, None if id(weights.output) in frozen else weights.output, self.parameters)
        self.optimizer = build_optimizer(plan.optimizer, self.parameters, maps)
        # Each group's own, as Muon's part has another rate than AdamW's; a schedule multiplies both.
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.rate = plan.optimizer.learning_rate
        self.remedies = at_run_time(plan.run_time)
        self.penalising = [remedy for remedy in self.remedies if isinstance(remedy, Penalty)]
        self.changing = [remedy for remedy in self.remedies if isinstance(remedy, GradientRule)]
        self.clipping = [remedy for remedy in self.remedies if isinstance(remedy, Clipping)]
        self.decaying = [remedy for remedy in self.remedies if isinstance(remedy, Decay)]
        self.schedules = [remedy for remedy in self.remedies if isinstance(remedy, Schedule)]
        self.precision = next((remedy for remedy in self.remedies if isinstance(remedy, Precision)), None)
        self.probe: Probe | RowProbe | None = self.model.attached(self.optimizer) if record else None
        self.nonfinite_in_a_row, self.diverged, self.skipped = 0, False, False
        self.stopped_by: StoppedBy | None = None
        self.step_times = deque[float](maxlen=TIMES_KEPT)
        self.shared_times = deque[float](maxlen=TIMES_KEPT)
        self.first_step, self.stepping_seconds, self.overhead_seconds, self.earlier_seconds = 0, 0.0, 0.0, 0.0
        self.clock: Callable[[], float] = time.perf_counter
        """Seconds of this run: where it shares a step with others, its part of them."""
        self.members = 1
        """Whose memory a GPU counts with this run's."""
        # Of the step that is being made, and of the last one.
        self.recording: Probe | RowProbe | None = None
        self.loss, self.made, self.curves = torch.zeros(()), True, dict[str, Scalar]()
        self.seen: StepRecord | None = None
        self.due = 0

    def close(self) -> None:
        if self.probe is not None:
            self.probe.detach()

    def run(self, between_steps: Callable[[], None], wanted: Callable[[int], bool] = never) -> Iterator[Seen]:
        """All of the run, alone."""
        for seen in self.course(between_steps, wanted):
            if isinstance(seen, Due):
                self.step(seen.step)
            else:
                yield seen

    def course(self, between_steps: Callable[[], None], wanted: Callable[[int], bool] = never) -> Iterator[Seen | Due]:
        """All of the run but its steps: whoever reads makes each one that is ``Due``, alone or with those of others."""
        # Device time counts what the attempts before the checkpoint took.
        began = self.clock() - self.earlier_seconds
        steps_done = self.first_step
        if self.plan.steps == 0:
            between_steps()
            untrained = self.look()
            if untrained is not None:
                self._judge(untrained)
                yield untrained
        for step in range(self.first_step, self.plan.steps):
            between_steps()
            if wanted(step):
                yield Snapshot(step, step // self.plan.steps_per_epoch, self.state(step, self.clock() - began))
            yield Due(step)
            steps_done = step + 1
            if self.seen is not None:
                yield self.seen
                self._judge(self.seen)
            if self.stopped_by is not None:
                break
            if steps_done % self.plan.steps_per_epoch == 0 and len(self.validation_part):
                loss, metric = evaluate(self.model, self.objective, self.validation_part)
                yield EpochResult(steps_done // self.plan.steps_per_epoch - 1, loss, metric)
        yield self.result(steps_done, self.clock() - began)

    def look(self) -> StepRecord | None:
        """Record 0 of ``steps: 0``: the first batch forward and backward, and no update."""
        return self.probe.record(0, loss=self._backward(0), learning_rate=self.rate) if self.probe is not None else None

    def state(self, step: int, seconds: float = 0.0) -> TrainState:
        """All that steps ``step`` and later depend on, and the time that the earlier ones took."""
        return {
            "step": step,
            "model": apart(dict(self.model.state_dict())),
            "optimizer": apart(self.optimizer.state_dict()),
            "masks": {name: masks.get_state() for name, masks in self._masks().items()},
            "remedies": [remedy.state_dict() for remedy in self.remedies],
            "judged": [self.nonfinite_in_a_row, self.diverged, self.skipped],
            "seconds": [seconds, self.stepping_seconds, self.overhead_seconds],
        }

    def resume(self, state: TrainState) -> None:
        """Go on where ``state`` was taken. StateRefusedError where it is of another network, or of another version."""
        try:
            self.first_step = int(state["step"])
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, masks in self._masks().items():
                masks.set_state(state["masks"][name])
            for remedy, memory in zip(self.remedies, state["remedies"], strict=True):
                remedy.load_state_dict(memory)
            self.nonfinite_in_a_row, self.diverged, self.skipped = state["judged"]
            self.earlier_seconds, self.stepping_seconds, self.overhead_seconds = state["seconds"]
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            # What torch and strict zips raise where names, shapes or counts are not those of this network.
            raise StateRefusedError(str(error)) from error

    def _masks(self) -> dict[str, torch.Generator]:
        """The generators that a run draws from as it goes; all others begin anew for each purpose."""
        drawing = ((name, its) for name, its in self.model.named_modules() if isinstance(its, Dropout | PluginNetwork))
        return {name: its.masks(self.device) for name, its in drawing}

    def step(self, step: int) -> StepRecord | None:
        """One update; its record where this step is recorded."""
        began = time.perf_counter()
        self.begin(step)
        self.treat(self._backward(step))
        if self.made:
            self.optimizer.step()
        # Without the probe's share: ``step_seconds`` is what the step would take unrecorded (decision 1).
        return self.conclude(step, time.perf_counter() - began - self.reading_seconds)

    def begin(self, step: int) -> None:
        """Before the forward pass: whether the step is recorded, and its learning rate."""
        self.recording = self.probe if step % self.plan.experiment.trace.every == 0 else None
        if self.probe is not None:
            self.probe.recording = self.recording is not None
        self._set_rate(step)

    def treat(self, loss: Tensor) -> None:
        """After the backward pass, which has left ``.grad``: all that acts before the optimiser does."""
        self.loss = loss
        self.made, self.curves = self._treat(self.recording)
        if self.made:
            for remedy in self.decaying:
                remedy.shrink(self.bound, self.rate)
        elif self.recording is not None:
            self.recording.skipped()

    @property
    def reading_seconds(self) -> float:
        """What recording has taken of this step."""
        return 0.0 if self.recording is None else self.recording.overhead_seconds

    def conclude(self, step: int, seconds: float, *, shared: bool = False) -> StepRecord | None:
        """The record of a step whose update is made, in ``seconds`` without recording. ``shared``: they are an even
        part of what all members of a group took, which says nothing of this one's remedies.
        """
        self.took(seconds, shared=shared)
        if self.recording is not None:
            curves: dict[str, Scalar] = {"learning_rate": self.rate, "step_seconds": seconds, **self.curves}
            self.see(self.recording.record(step, loss=self.loss, **curves))
        return self.seen

    def took(self, seconds: float, *, shared: bool) -> None:
        """A step's update is made; see ``conclude``."""
        (self.shared_times if shared else self.step_times).append(seconds)
        self.stepping_seconds += seconds
        self.seen = None

    def see(self, record: StepRecord) -> None:
        """Of the step that was just made."""
        self.seen = record
        self.overhead_seconds += record.overhead_seconds

    def _set_rate(self, step: int) -> None:
        """The rate in force; schedules multiply, and every group of the optimiser follows its own."""
        planned = self.plan.optimizer.schedule
        if self.schedules or planned is not None:
            factor = math.prod(schedule.factor(step) for schedule in self.schedules)
            if planned is not None:
                factor *= factor_of(planned, step, self.plan.steps)
            self.rate = self.plan.optimizer.learning_rate * factor
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor

    def _backward(self, step: int) -> Tensor:
        """The step's data loss, with its gradients in ``.grad``: times the scale, where precision has one."""
        part, precision = self.batches.of(step), self.precision
        # Backward stays outside: autograd gives each operation the type that its forward pass had.
        with nullcontext() if precision is None else precision.autocast(self.device):
            loss = self.objective.loss(self.model(part.x, part.lengths), part.y)
        self.optimizer.zero_grad(set_to_none=True)
        for weights in self.frozen:
            weights.grad = None  # they have one, as it is measured, and no optimiser clears it
        scale = 1.0 if precision is None else precision.scale
        if self.probe is not None:
            self.probe.loss_scale = scale
        torch.autograd.backward(loss if scale == 1.0 else loss * scale)
        return loss.detach()

    def _treat(self, probe: Probe | RowProbe | None) -> tuple[bool, dict[str, Scalar]]:
        """Whether the step may be made, after all that acts on ``.grad``, with ``probe`` as without; its curves."""
        curves: dict[str, Scalar] = {}
        if self.precision is not None:
            curves["loss_scale"] = self.precision.scale
            if not self.precision.unscale(self.bound):
                self.skipped = True
                return False, curves
        self.skipped = False
        for penalty in self.penalising:
            penalty.add_gradient(self.bound)
        for rule in self.changing:
            rule.change(self.bound)
        if self.clipping:
            norm = clipped = norm_of(self.bound.gradients())
            for clipping in self.clipping:
                clipped = clipping.clip(self.bound, clipped)
            curves |= {"total_gradient_norm": norm, "clipped_gradient_norm": clipped, "clipped": clipped < norm}
            # ``.grad`` was as backward left it: both curves then show one number, to its last digit.
            if not self.penalising and not self.changing and self.precision is None and not self.frozen:
                curves["gradient_norm"] = norm
        elif (self.penalising or self.changing or self.frozen) and probe is not None:
            # Of what the update is made of: the probe's own reading is of frozen layers too.
            curves["total_gradient_norm"] = norm_of(self.bound.gradients()) if self.frozen else probe.gradient_norm()
        if probe is not None and self.penalising:
            curves["penalty"] = sum(penalty.penalty(self.bound) for penalty in self.penalising)
        return True, curves

    def _judge(self, seen: StepRecord) -> None:
        """``stop_when``: so many non-finite steps in a row, or a loss above."""
        stop_when = self.plan.stop_when
        # A step that half precision skips is its search for a scale, and no divergence.
        finite = self.skipped or (seen.finite and math.isfinite(seen.loss))
        self.diverged = self.diverged or not finite
        # Each recorded step stands for those up to the next, as only recorded ones are judged.
        self.nonfinite_in_a_row = 0 if finite else self.nonfinite_in_a_row + self.plan.experiment.trace.every
        if stop_when.nonfinite_steps is not None and self.nonfinite_in_a_row >= stop_when.nonfinite_steps:
            self.stopped_by = "nonfinite_steps"
        elif stop_when.loss_above is not None and seen.loss > stop_when.loss_above:
            self.stopped_by = "loss_above"

    def result(self, steps_done: int, seconds: float) -> RunResult:
        # None where there is no such part: NaN stands for a loss that is not finite.
        validated = evaluate(self.model, self.objective, self.validation_part) if len(self.validation_part) else None
        test_loss, test_metric = evaluate(self.model, self.objective, self.test_part)
        stepping = self.stepping_seconds
        return RunResult(
            steps_done=steps_done,
            outcome="diverged" if self.diverged or self.stopped_by is not None else "finished",
            stopped_by=self.stopped_by,
            chance_level=self.chance_level,
            validation_loss=None if validated is None else validated[0],
            test_loss=test_loss,
            test_metric=test_metric,
            step_seconds=median(times) if (times := self.step_times or self.shared_times) else math.nan,
            device_seconds=seconds,
            overhead=(stepping + self.overhead_seconds) / stepping if stepping else math.nan,
            peak_memory_bytes=peak_bytes(
                self.model,
                self.parameters,
                self.optimizer,
                self.device,
                self.plan.experiment.batch_size,
                self.members,
            ),
            weights_hash=weights_hash(self.model),
            device=self.device,
            majority_share=self.majority_share,
            neighbour_accuracy=self.neighbour_accuracy,
            test_cases=len(self.test_part),
            target_offset=self.target_offset,
            balanced_accuracy=balanced_accuracy(self.model, self.batches.part) if self.uneven else None,
        )
