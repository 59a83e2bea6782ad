"""Training as a generator: it yields what it sees and knows neither storage nor cancelling. Pure torch.

``train`` runs one plan under one seed; ``measure`` is one forward and backward pass with given input and output
gradient, for closed forms. Both build the network from the plan and read it through the probe.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.plan import NetworkPlan, Plan
from models.specs.optimizer import OptimizerSpec
from worker import networks
from worker.datasets.split import Part, TrialData
from worker.measures.base import Scalar
from worker.networks.mlp import Mlp
from worker.probe import Probe, StepRecord, attach
from worker.randomness import generator
from worker.remedies import at_run_time
from worker.remedies.base import Clipping, Penalty

StoppedBy = Literal["nonfinite_steps", "loss_above"]
EVALUATED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Validation at the end of an epoch (from 0)."""

    epoch: int
    loss: float
    metric: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """The engine's last word. ``step_seconds`` is the median step without recording; ``overhead`` the factor by which
    recording lengthened training; ``peak_memory_bytes`` is CUDA's count, or on the CPU the sum of parameters, their
    gradients, the optimiser's state and one batch's activations; ``weights_hash`` covers every entry of the state.
    """

    steps_done: int
    outcome: Literal["finished", "diverged"]
    stopped_by: StoppedBy | None
    chance_level: float
    test_loss: float
    test_metric: float
    step_seconds: float
    device_seconds: float
    overhead: float
    peak_memory_bytes: int
    weights_hash: str
    device: torch.device


Seen = StepRecord | EpochResult | RunResult


def train(  # noqa: PLR0913 -- the run's whole world, by name
    plan: Plan,
    data: TrialData,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    record: bool = True,
    between_steps: Callable[[], None] = lambda: None,
) -> Iterator[Seen]:
    """Yield the record of every recorded step, an EpochResult per epoch where there is a validation part, and at
    the end the RunResult. ``between_steps`` is called before each step and may raise to end the run.
    """
    trainer = Trainer(plan, data, seed=seed, device=torch.device(device), dtype=dtype, record=record)
    try:
        yield from trainer.run(between_steps)
    finally:
        trainer.close()


def measure(
    plan: Plan | NetworkPlan,
    *,
    input: Tensor,  # noqa: A002 -- contract
    cotangent: Tensor,
    dtype: torch.dtype,
    seed: int,
) -> StepRecord:
    """One record of the untrained network. ``input`` (batch, units of layer 1) is the first layer's h; ``cotangent``
    (batch, outputs) is ∂L/∂(output). The first weight matrix takes no part, so its gradient reads 0.
    """
    network = plan.network if isinstance(plan, Plan) else plan
    model = networks.build(network, seed).to(input.device, dtype)
    probe = attach(model, points=model.points())
    h = input.detach().to(dtype).requires_grad_()
    probe.watch(0, h)
    torch.autograd.backward(model.forward_from(h), cotangent.to(dtype))
    record = probe.record(step=0)
    probe.detach()
    return record


class Trainer:
    """One run in progress: the network, its optimiser, its data on the device."""

    def __init__(  # noqa: PLR0913
        self, plan: Plan, data: TrialData, *, seed: int, device: torch.device, dtype: torch.dtype, record: bool
    ) -> None:
        self.plan, self.seed, self.device = plan, seed, device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.classes = data.classes
        self.chance_level = data.chance_level(plan.experiment.loss)
        parts = (part.to(device, dtype) for part in (data.train, data.validation, data.test))
        self.train_part, self.validation_part, self.test_part = parts
        self.model = networks.build(plan.network, seed).to(device, dtype)
        self.parameters = list(self.model.parameters())
        self.optimizer, self.rate = build_optimizer(plan.optimizer, self.parameters), plan.optimizer.learning_rate
        remedies = at_run_time(plan.run_time)
        self.penalising = [remedy for remedy in remedies if isinstance(remedy, Penalty)]
        self.clipping = [remedy for remedy in remedies if isinstance(remedy, Clipping)]
        *hidden, output = points = self.model.points()
        self.hidden, self.output = [point.weight for point in hidden], output.weight
        self.probe: Probe | None = attach(self.model, self.optimizer, points) if record else None
        self.nonfinite_in_a_row, self.diverged = 0, False
        self.stopped_by: StoppedBy | None = None
        self.step_times, self.overhead_seconds = list[float](), 0.0
        self._order: tuple[int, Tensor] | None = None

    def close(self) -> None:
        if self.probe is not None:
            self.probe.detach()

    def run(self, between_steps: Callable[[], None]) -> Iterator[Seen]:
        began = time.perf_counter()
        steps_done = 0
        if self.plan.steps == 0:
            between_steps()
            if self.probe is not None:
                yield self._untrained(self.probe)
        for step in range(self.plan.steps):
            between_steps()
            seen = self.step(step)
            steps_done = step + 1
            if seen is not None:
                yield seen
                self._judge(seen)
            if self.stopped_by is not None:
                break
            if steps_done % self.plan.steps_per_epoch == 0 and len(self.validation_part):
                loss, metric = self._evaluate(self.validation_part)
                yield EpochResult(steps_done // self.plan.steps_per_epoch - 1, loss, metric)
        yield self.result(steps_done, time.perf_counter() - began)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """x (batch, features), y (batch,). The order is a function of seed and epoch alone."""
        epoch, index = divmod(step, self.plan.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self.train_part), generator=generator(self.seed, "order", epoch))
            self._order = epoch, order.to(self.device)
        size = self.plan.experiment.batch_size
        chosen = self._order[1][index * size : (index + 1) * size]
        return self.train_part.x.index_select(0, chosen), self.train_part.y.index_select(0, chosen)

    def step(self, step: int) -> StepRecord | None:
        """One update; its record where this step is recorded."""
        began = time.perf_counter()
        probe = self.probe if step % self.plan.experiment.trace.every == 0 else None
        if self.probe is not None:
            self.probe.recording = probe is not None
        loss = self._backward(step)
        curves = self._treat(probe)
        self.optimizer.step()
        seconds = time.perf_counter() - began - (0.0 if probe is None else probe.overhead_seconds)
        self.step_times.append(seconds)
        if probe is None:
            return None
        seen = probe.record(step, loss=loss, learning_rate=self.rate, step_seconds=seconds, **curves)
        self.overhead_seconds += seen.overhead_seconds
        return seen

    def _untrained(self, probe: Probe) -> StepRecord:
        """Record 0 of ``steps: 0``: the first batch forward and backward, and no update."""
        seen = probe.record(0, loss=self._backward(0), learning_rate=self.rate)
        self._judge(seen)
        return seen

    def _backward(self, step: int) -> Tensor:
        """The step's data loss, with its gradients in ``.grad``."""
        x, y = self.batch(step)
        loss = self._loss(self.model(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        return loss.detach()

    def _treat(self, probe: Probe | None) -> dict[str, Scalar]:
        """Penalty and clipping act on ``.grad``, with ``probe`` as without; the curves of it where it records."""
        curves: dict[str, Scalar] = {}
        for remedy in self.penalising:
            remedy.add_gradient(self.hidden, self.output)
        if self.clipping:
            norm = clipped = self._gradient_norm()
            for clipping in self.clipping:
                clipped = clipping.clip(self.parameters, clipped)
            curves = {"total_gradient_norm": norm, "clipped_gradient_norm": clipped, "clipped": clipped < norm}
            if not self.penalising:
                curves["gradient_norm"] = norm
        elif self.penalising and probe is not None:
            curves["total_gradient_norm"] = probe.gradient_norm()
        if probe is not None and self.penalising:
            curves["penalty"] = sum(remedy.penalty(self.hidden, self.output) for remedy in self.penalising)
        return curves

    def _gradient_norm(self) -> Tensor:
        """‖g‖ over all parameters, float64: no float32 square underflows."""
        gradients = [its.grad for its in self.parameters if its.grad is not None]
        norms = torch._foreach_norm(gradients, 2, dtype=torch.float64)  # noqa: SLF001 -- no public name
        return torch.stack(norms).square().sum().sqrt()

    def _loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Mean data loss over the batch; mse is against one-hot labels, over cases and classes."""
        if self.plan.experiment.loss == "cross_entropy":
            return functional.cross_entropy(logits, y)
        return functional.mse_loss(logits, functional.one_hot(y, self.classes).to(logits.dtype))

    def _judge(self, seen: StepRecord) -> None:
        """``stop_when``: so many non-finite steps in a row, or a loss above."""
        stop_when = self.plan.stop_when
        finite = seen.finite and math.isfinite(seen.loss)
        self.diverged = self.diverged or not finite
        self.nonfinite_in_a_row = 0 if finite else self.nonfinite_in_a_row + self.plan.experiment.trace.every
        if stop_when.nonfinite_steps is not None and self.nonfinite_in_a_row >= stop_when.nonfinite_steps:
            self.stopped_by = "nonfinite_steps"
        elif stop_when.loss_above is not None and seen.loss > stop_when.loss_above:
            self.stopped_by = "loss_above"

    @torch.no_grad()
    def _evaluate(self, part: Part) -> tuple[float, float]:
        """(loss, accuracy) in evaluation mode; NaN for an empty part."""
        if len(part) == 0:
            return math.nan, math.nan
        self.model.eval()
        chunks = zip(torch.split(part.x, EVALUATED_AT_ONCE), torch.split(part.y, EVALUATED_AT_ONCE), strict=True)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for x, y in chunks:
            logits = self.model(x)
            right = (logits.argmax(dim=1) == y).sum()
            sums += torch.stack([self._loss(logits, y).double() * len(y), right.double()])
        self.model.train()
        loss, metric = (sums / len(part)).tolist()
        return loss, metric

    def result(self, steps_done: int, seconds: float) -> RunResult:
        test_loss, test_metric = self._evaluate(self.test_part)
        stepping = sum(self.step_times)
        return RunResult(
            steps_done=steps_done,
            outcome="diverged" if self.diverged or self.stopped_by is not None else "finished",
            stopped_by=self.stopped_by,
            chance_level=self.chance_level,
            test_loss=test_loss,
            test_metric=test_metric,
            step_seconds=median(self.step_times) if self.step_times else math.nan,
            device_seconds=seconds,
            overhead=(stepping + self.overhead_seconds) / stepping if stepping else math.nan,
            peak_memory_bytes=self._peak_memory(),
            weights_hash=weights_hash(self.model),
            device=self.device,
        )

    def _peak_memory(self) -> int:
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        held = [*self.parameters, *(its.grad for its in self.parameters if its.grad is not None)]
        held += [its for state in self.optimizer.state.values() for its in state.values() if isinstance(its, Tensor)]
        item = self.parameters[0].element_size()
        activations = sum(2 * layer.fan_out for layer in self.plan.layers) * self.plan.experiment.batch_size * item
        return sum(its.numel() * its.element_size() for its in held) + activations


def build_optimizer(spec: OptimizerSpec, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """torch's own optimiser of that name, in its fused form."""
    if spec.kind == "adam":
        return torch.optim.Adam(parameters, lr=spec.learning_rate, betas=spec.betas, eps=spec.eps, fused=True)
    return torch.optim.SGD(parameters, lr=spec.learning_rate, momentum=spec.momentum, fused=True)


def weights_hash(model: Mlp) -> str:
    """blake2b over every tensor of the state, in order of name."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
