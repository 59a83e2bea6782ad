"""``preflight``: one batch through an untrained network and back, before a training is paid for."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gradient_clinic.values import Value
from gradient_clinic.verdict.shapes import FirstNonfinite, Verdict
from gradient_clinic.verdict.wording import number
from gradient_clinic.watcher.chance import Targets
from gradient_clinic.watcher.discovery import Found
from gradient_clinic.watcher.following import Following
from gradient_clinic.watcher.guard import Guard
from gradient_clinic.watcher.listener import Listener
from gradient_clinic.watcher.records import Record, Records
from gradient_clinic.watcher.remarks import Finding, of_parameters
from gradient_clinic.watcher.report import Observed, plain, report_of
from gradient_clinic.watcher.setup import predicted_gain

OFF: Final = 1.5
"""A factor from ln K either way: the outputs of an untrained network should say that all classes are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight(Value):
    """``uniform_loss``: ln K, the cross-entropy of saying that all classes are alike; None of other losses.
    ``predicted_gain``: G that theory gives weights of this size. ``findings``: what is wrong; empty is well.
    """

    loss: float
    uniform_loss: float | None
    verdict: Verdict | None
    predicted_gain: float | None
    first_nonfinite: FirstNonfinite | None
    findings: tuple[Finding, ...]

    def json(self) -> str:
        return json.dumps(plain(asdict(self)), ensure_ascii=False)

    def text(self) -> str:
        against = "" if self.uniform_loss is None else f", ln K is {number(self.uniform_loss)}"
        theory = "" if self.predicted_gain is None else f" Theory gives G = {number(self.predicted_gain, signed=True)}."
        lines = [f"Loss of the untrained network: {number(self.loss)}{against}."]
        lines += [] if self.verdict is None else [f"{self.verdict.kind}: {self.verdict.sentence}{theory}"]
        return "\n".join([*lines, *(f"- {finding.text}" for finding in self.findings)])


def preflight(
    model: nn.Module,
    batch: tuple[Any, Any],
    loss_fn: Callable[[Any, Any], Tensor],
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
) -> Preflight:
    """What one batch shows: ``loss_fn(model(inputs), targets)`` of ``batch`` = (inputs, targets), and its gradients.
    Inputs in a tuple or a dictionary are given as several arguments. Weights, buffers, gradients and torch's random
    numbers are as before. What the model or the loss raises is raised.
    """
    guard = Guard(_raised)
    heard: list[tuple[Found, Listener]] = []

    def told(found: Found) -> None:
        heard.append((found, Listener(list(model.parameters()), found.rows, guard)))
        heard[0][1].give(found.h)

    targets = Targets()
    with _restored(model):
        following = Following(model, guard, told, None, None)
        try:
            loss = loss_fn(_called(model, batch[0]), batch[1])
        finally:
            following.close()
        targets.see(loss)
        if loss.requires_grad:
            torch.autograd.backward(loss)
        optimizers = [optimizer] if isinstance(optimizer, Optimizer) else optimizer
        return _looked_at(model, float(loss.detach()), targets, heard, optimizers)


def _looked_at(
    model: nn.Module,
    loss: float,
    targets: Targets,
    heard: list[tuple[Found, Listener]],
    optimizers: Sequence[Optimizer] | None,
) -> Preflight:
    found, listener = heard[0] if heard else (Found((), (), has_skips=False), None)
    records, gain = Records(), None
    if listener is not None and found.rows:
        matrix, (norm,) = listener.read([listener.settle()], updated=False)
        records.add(Record(0, matrix, {"loss": loss, "gradient_norm": norm}))
        gain = None if found.has_skips else predicted_gain(found.rows, matrix)
    remarks = of_parameters(model, optimizers, found.rows)
    observed = Observed(
        model=model,
        rows=found.rows,
        has_skips=found.has_skips,
        records=records,
        steps=0,
        skipped=0,
        optimizer="",
        conditions="one batch",
        chance_level=targets.chance_level(),
        values=targets.of_values,
        cost=0.0,
        first_steps=0,
        first_cost=0.0,
        remarks=(),
    )
    report = report_of(observed)
    uniform = None if targets.classes is None else math.log(targets.classes)
    return Preflight(
        loss=loss,
        uniform_loss=uniform,
        verdict=report.verdict,
        predicted_gain=gain,
        first_nonfinite=report.first_nonfinite,
        findings=(*_of_loss(loss, uniform), *_of_verdict(report.verdict, report.first_nonfinite), *remarks),
    )


def _of_loss(loss: float, uniform: float | None) -> Iterator[Finding]:
    if not math.isfinite(loss):
        yield Finding("loss_not_finite", (), f"the loss is {loss}")
    elif uniform and loss > OFF * uniform:
        text = f"the loss is {number(loss / uniform)} times ln K: outputs are large, and sure of what they cannot know"
        yield Finding("loss_above_chance", (), text)
    elif uniform and loss < uniform / OFF:
        text = f"the loss is {number(loss / uniform)} times ln K: the model was trained, or its inputs tell the labels"
        yield Finding("loss_below_chance", (), text)


def _of_verdict(verdict: Verdict | None, broken: FirstNonfinite | None) -> Iterator[Finding]:
    if broken is not None and broken.layer is not None:  # a watched network has layers
        text = f"the first value that is not finite is met in {broken.layer}, {broken.where}"
        yield Finding("not_finite", (broken.layer,), text)
    if verdict is None:
        text = (
            "no h and δ on a depth axis were measured: no gradient of the loss reaches the model, or it has no layers"
        )
        yield Finding("nothing_measured", (), text)
        return
    if verdict.kind in {"vanishing", "exploding"}:
        yield Finding(verdict.kind, (), f"gradients start {verdict.kind}")
    for item in verdict.evidence:
        if item.statistic == "worst_hidden_layer":
            text = f"{item.signal.replace('_', ' ')} of {item.layers[0]} is {number(item.value)}"
            yield Finding(item.signal, item.layers[:1], text)


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """What a pass changes of a model is put back: buffers, gradients, and weights in case; random numbers of torch."""
    tensors = [*model.parameters(), *model.buffers()]
    kept = [its.detach().clone() for its in tensors]
    gradients = [its.grad for its in model.parameters()]
    devices = sorted({its.device.index or 0 for its in tensors if its.is_cuda})
    model.zero_grad()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for its, before in zip(tensors, kept, strict=True):
                its.copy_(before)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient


def _called(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _raised(error: Exception) -> None:
    raise error
