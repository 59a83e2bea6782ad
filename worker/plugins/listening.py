"""The probe of a network that is code: the rows of a followed pass, heard as a watch hears them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradient_clinic.layers import Layer
from gradient_clinic.probe.meters.meter import Array, Scalar
from gradient_clinic.probe.probe import StepRecord, at_the_end_of_backward, on_gradient
from gradient_clinic.signals import SIGNALS
from gradient_clinic.watcher.discovery import Found
from gradient_clinic.watcher.gaps import Gaps
from gradient_clinic.watcher.guard import Guard
from gradient_clinic.watcher.listener import Listener, unscaled
from gradient_clinic.watcher.rows import Row
from gradient_clinic.watcher.trace import layer_of, order_of
from worker.remedies.norms import norm_of


class RowProbe:
    """As ``gradient_clinic.probe.probe.Probe``, over the rows that were found."""

    def __init__(self, model: nn.Module, found: Found, optimizer: torch.optim.Optimizer) -> None:
        self.rows: tuple[Row, ...] = tuple(found.rows[index] for index in order_of(found.rows))
        self.first: Array | None = None
        """(signals, rows) of the first record, NaN where nothing was measured."""
        self.loss_scale = 1.0
        self._guard = Guard(self._failed)
        self._error: Exception | None = None
        self._parameters = list(model.parameters())
        self._listener = Listener(self._parameters, self.rows, self._guard)
        self._gaps: Gaps | None = None
        self._norm: Scalar | None = None
        self._updated = self._recording = False
        self._spent = 0.0
        self._step = 0
        self._handles: list[RemovableHandle] = [
            model.register_forward_hook(self._after_forward),
            optimizer.register_step_pre_hook(lambda *_: self.skipped()),
        ]
        self.recording = True

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Known with the first record: what takes no part in it is not on the depth axis."""
        assert self.first is not None
        return tuple(layer_of(row, self.first[:, index]) for index, row in enumerate(self.rows))

    @property
    def recording(self) -> bool:
        return self._recording

    @recording.setter
    def recording(self, on: bool) -> None:
        if on != self._recording:
            (self._listener.start if on else self._listener.stop)()
            self._recording = on

    @property
    def overhead_seconds(self) -> float:
        return self._guard.seconds - self._spent

    def detach(self) -> None:
        self.recording = False
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._listener.forget()

    def gradient_norm(self) -> Scalar:
        """‖g‖ over all parameters as it is now."""
        return norm_of([its.grad for its in self._parameters if its.grad is not None])

    def skipped(self) -> None:
        """An update follows, or was left out on purpose and is 0."""
        self._updated = self._norm is not None

    def record(self, step: int | None = None, **curves: Scalar) -> StepRecord:
        """The step's record, after the update, or without one."""
        norm = self.gradient_norm() if self._norm is None else self._norm
        named = {"gradient_norm": norm, **curves}
        read = self._guard.run(self._read, list(named.values()))
        if self._error is not None or read is None:
            message = f"what it computes cannot be measured: {self._error!r}"
            raise RuntimeError(message) from self._error
        matrix, numbers = read
        values: dict[str, Any] = dict(zip(named, numbers, strict=True))
        values["gradient_norm"] /= self.loss_scale
        values.setdefault("total_gradient_norm", values["gradient_norm"])
        values.setdefault("clipped_gradient_norm", values["total_gradient_norm"])
        spent, self._spent = self.overhead_seconds, self._guard.seconds
        self._step = self._step + 1 if step is None else step + 1
        self._norm, self._updated = None, False
        signals: dict[str, Any] = dict(zip(SIGNALS, matrix, strict=True))
        names = tuple(row.name for row in self.rows)
        return StepRecord(self._step - 1, names, **signals, **values, overhead_seconds=spent)

    def _read(self, scalars: list[Scalar]) -> tuple[Array, list[float]]:
        matrix, numbers = self._listener.read(scalars, updated=self._updated)
        matrix = unscaled(matrix, self.loss_scale, self.loss_scale)
        if self.first is None:
            self.first = matrix
        if self._gaps is None:
            self._gaps = Gaps(self.rows, self.layers)
        return self._gaps.filled(matrix), numbers

    def _after_forward(self, _module: nn.Module, _inputs: object, output: object) -> None:
        if self._recording and isinstance(output, Tensor) and output.requires_grad:
            on_gradient(output, lambda _: at_the_end_of_backward(self._settle))

    def _settle(self) -> None:
        """Gradients are read when backward ends, before a penalty or clipping changes them."""
        self._norm = self._guard.run(self._listener.settle)

    def _failed(self, error: Exception) -> None:
        self._error = error
