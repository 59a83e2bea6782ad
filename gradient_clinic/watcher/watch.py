"""``watch``: any PyTorch training, measured where its optimiser steps, without a change to its loop.

A step is the optimiser's: passes that accumulate their gradients are one. h and δ are those of the last pass before it.
Training is the same bit by bit; an error in here is logged once and ends the watching, not the training.
"""

import atexit
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from gradient_clinic.watcher.cadence import Cadence, Even, cadence_of
from gradient_clinic.watcher.chance import Targets
from gradient_clinic.watcher.discovery import Found, weight_rows
from gradient_clinic.watcher.following import Following
from gradient_clinic.watcher.guard import Guard
from gradient_clinic.watcher.listener import Listener, is_compiled, unscaled
from gradient_clinic.watcher.options import Options
from gradient_clinic.watcher.page import page_of
from gradient_clinic.watcher.ranks import check_parallel, ranks_of
from gradient_clinic.watcher.records import Record, Records
from gradient_clinic.watcher.remarks import of_parameters
from gradient_clinic.watcher.report import Observed, Report, report_of
from gradient_clinic.watcher.rows import Row, listed
from gradient_clinic.watcher.step import Step, bare
from gradient_clinic.watcher.stream import Stream, destination_of

LOG = logging.getLogger("gradient_clinic")
FALLS_BACK = "weights and their gradients alone are watched"


class Watch:
    """Made by ``watch``. ``close`` ends it and keeps what was recorded."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], options: Options) -> None:
        self.model, self.optimizers, self.options = model, list(optimizers), options
        self.records = Records()
        self.steps = 0
        """Of the optimiser, those that loss scaling skipped included."""
        self.remarks: list[str] = []
        """What was said in the log."""
        self._cadence: Cadence = cadence_of(options.every)
        self._ranks = ranks_of(model, self._say)
        self._stream: Stream | None = None
        if options.to is not None or self._ranks is not None:
            self._cadence = even = Even(self._cadence, agreed=int if self._ranks is None else self._ranks.agreed)
            if options.to is not None and (self._ranks is None or not self._ranks.rank):
                self._stream = Stream(options.to, even, self._say)
                atexit.register(self._exit)
        self._targets, self._guard = Targets(), Guard(self._failed)
        self._listener: Listener | None = None
        self._following: Following | None = None
        self._has_skips, self._skipped = False, 0  # of the recorded steps
        self._recording, self._listening = True, False
        self._began, self._ended = time.perf_counter(), math.inf
        self._stepped_at, self._spent = self._began, 0.0
        self._first, self._first_spent = 0, 0.0  # steps from the first on that were all recorded, and what they took
        self._error: str | None = None
        self._step = Step()
        self._handles: list[RemovableHandle] = []
        for its in self.optimizers:
            self._handles += [its.register_step_pre_hook(self._before_step)]
            self._handles += [its.register_step_post_hook(self._after_step)]
        if options.signals == "weights":
            self._listen_to_weights()
        elif is_compiled(model):
            self._say(f"the model is compiled or scripted, and calls no hooks: {FALLS_BACK}")
            self._listen_to_weights()
        else:
            self._following = Following(model, self._guard, self._found, options.layers, options.depth)

    # --- what a loop may call -------------------------------------------------------------------------------------

    def loss(self, loss: Tensor) -> Tensor:
        """Tell the loss of this pass, and get it back. Of several passes of a step the mean counts."""
        self._guard.run(self._take_loss, loss)
        return loss

    def clip_grad_norm_(
        self, parameters: Tensor | Sequence[Tensor] | Iterator[Tensor], max_norm: float, **options: Any
    ) -> Tensor:
        """``torch.nn.utils.clip_grad_norm_``, behind which gradients are recorded as they were before it."""
        if self._recording:
            self._guard.run(self._settle)
        norm = nn.utils.clip_grad_norm_(parameters, max_norm, **options)
        self._step.take_clipping(norm, max_norm)
        return norm

    def result(self, *, loss: float | None = None, metric: float | None = None) -> None:
        """What held-out cases have come to, for the service: it is sent with the end, and compared over seeds."""
        if self._stream is not None:
            self._stream.held_out = loss, metric

    @property
    def run(self) -> str | None:
        """The address of this run in the service, once that has it."""
        return None if self._stream is None else self._stream.run

    def report(self, format: Literal["text", "json", "html"] = "text") -> str:  # noqa: A002 -- as everybody calls it
        """What was found so far: in words, as JSON, or as one page with heat maps."""
        if format == "html":
            return page_of(self._observed())
        found = self.reported()
        return found.json() if format == "json" else found.text()

    def reported(self) -> Report:
        """What was found so far."""
        return report_of(self._observed())

    def _observed(self) -> Observed:
        chance = self._targets.chance_level() if self.options.chance is None else self.options.chance
        rate = max(float(self.optimizers[0].param_groups[0]["lr"]), self.records.highest_rate())
        optimizer = type(self.optimizers[0]).__name__
        return Observed(
            model=self.model,
            optimizer=optimizer,
            conditions=f"{optimizer} {rate:g}, {self.steps} steps so far",
            rows=self.rows,
            has_skips=self._has_skips,
            records=self.records,
            steps=self.steps,
            skipped=self._skipped,
            chance_level=chance,
            values=self._targets.of_values,
            cost=self.cost,
            first_steps=self._first,
            first_cost=self._share(self._first_spent),
            remarks=self.remarks,
        )

    def close(self) -> None:
        """Leave model and optimisers as they were. What was recorded stays; a second call does nothing."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._following is not None:
            self._following.close()
        self._listen(on=False)
        if self._listener is not None:
            self._listener.forget()
        self._recording = False
        self._guard.closed = True
        self._ended = min(self._ended, time.perf_counter())
        if self._stream is not None:
            atexit.unregister(self._exit)
            self._stream.close(self._observed(), self._error)

    detach = close

    @property
    def rows(self) -> tuple[Row, ...]:
        return () if self._listener is None else self._listener.rows

    @property
    def closed(self) -> bool:
        return self._guard.closed

    def layers(self) -> str:
        """What is watched, in the order of a pass, and what is left out and why: a line each."""
        return listed(self.rows)

    @property
    def cost(self) -> float:
        """Seconds that watching has taken, over those since it began less these."""
        return self._share(self._guard.seconds)

    def _share(self, seconds: float) -> float:
        total = min(time.perf_counter(), self._ended) - self._began
        return seconds / max(total - self._guard.seconds, 1e-9)

    # --- where it listens -----------------------------------------------------------------------------------------

    def _found(self, found: Found) -> None:
        self._has_skips = found.has_skips
        self._listener = self._listener_of(found.rows)
        self._listener.give(found.h)
        self._listen(on=True)  # to what another pass before the step may show

    def _listen(self, *, on: bool) -> None:
        if self._listener is not None and on != self._listening:
            (self._listener.start if on else self._listener.stop)()
            self._listening = on

    def _listen_to_weights(self) -> None:
        if self._following is not None:
            self._following.close()
        self._listener = self._listener_of(weight_rows(self.model, self.options.layers).rows)

    def _listener_of(self, rows: Sequence[Row]) -> Listener:
        if self._ranks is None:
            return Listener(list(self.model.parameters()), rows, self._guard)
        return Listener(self._ranks.parameters, self._ranks.rows(rows), self._guard, shared=True)

    def _exit(self) -> None:
        """The process ends, and nobody has closed it."""
        why = getattr(sys, "last_type", None)
        self._error = None if why is None else f"its process ended by {why.__name__}"
        self.close()

    # --- a step ---------------------------------------------------------------------------------------------------

    def _take_loss(self, loss: Tensor) -> None:
        if self._recording and self._step.norm is None:
            self._targets.see(loss)
            self._step.take_loss(loss)

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._guard.run(self._begin_update, optimizer, args, kwargs)

    def _after_step(self, optimizer: Optimizer, _: object, __: object) -> None:
        self._guard.run(self._end_update, optimizer)

    def _begin_update(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(optimizer) in self._step.stepped:  # the others of the list do not step as often
            self._end_step()
        if not self._recording:
            return None
        closure = kwargs.get("closure") or next((its for its in args[1:] if callable(its)), None)
        if closure is None:
            self._step.take_scales(optimizer, self.options.scaler)
            self._settle()
            return None
        seen = self._seen(closure)
        swapped = tuple(seen if its is closure else its for its in args)
        return swapped, kwargs | ({"closure": seen} if "closure" in kwargs else {})

    def _seen(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """A step that evaluates its loss by itself is recorded at the first evaluation, where it begins."""

        def evaluate() -> Any:
            loss = closure()
            if isinstance(loss, Tensor) and not self._step.losses:
                self._guard.run(self._take_loss, loss)
            self._guard.run(self._settle)
            return loss

        return evaluate

    def _settle(self) -> None:
        if self._step.norm is not None or not self._recording:
            return
        if self._listener is None:
            self._say(f"no forward pass of the model itself was seen: {FALLS_BACK}")
            self._listen_to_weights()
        assert self._listener is not None
        if not self.steps:
            for found in of_parameters(self.model, self.optimizers, self.rows):
                self._say(found.text)
        if self._ranks is not None:
            self._ranks.take_gradients(self.rows)
        self._step.norm = self._listener.settle()
        self._listen(on=False)  # a closure may be evaluated again

    def _end_update(self, optimizer: Optimizer) -> None:
        self._step.stepped.add(id(optimizer))
        if len(self._step.stepped) == len(self.optimizers):
            self._end_step()

    def _end_step(self) -> None:
        seconds = time.perf_counter() - self._stepped_at - (self._guard.seconds - self._spent)
        self._stepped_at, self._spent = time.perf_counter(), self._guard.seconds
        if self._step.norm is not None and self._listener is not None:
            self._record(self._listener, seconds)
        self.steps += 1
        self._step = Step()
        now, spent = time.perf_counter(), self._guard.seconds
        if self.records.count + self._skipped == self.steps:
            self._first, self._first_spent = self.steps, spent
        self._recording = self._cadence.wants(self.steps, now, spent, told=self.records.told)
        self._listen(on=self._recording)

    def _record(self, listener: Listener, seconds: float) -> None:
        """``seconds``: that the step has taken, what was done here aside."""
        matrix, numbers = listener.read(self._step.scalars(self.optimizers[0].param_groups[0]["lr"]), updated=True)
        curves, skipped = self._step.curves(numbers)
        matrix = unscaled(matrix, self._step.of_delta, self._step.of_gradient)
        if self._ranks is not None:
            matrix, curves = self._ranks.joined(matrix, curves, listener.rows, listener.seen)
            curves |= self._step.clipped(curves["total_gradient_norm"])
        if skipped:
            self._skipped += 1
        else:
            self.records.add(Record(self.steps, matrix, curves))
        if self._stream is not None:
            self._stream.add(self.steps, matrix, curves | {"step_seconds": seconds}, self._observed)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _say(self, remark: str, error: Exception | None = None) -> None:
        self.remarks.append(remark)
        LOG.warning(remark, exc_info=error)

    def _failed(self, error: Exception) -> None:
        self._error = f"watching has ended by an error of its own, and training goes on: {error!r}"
        self._say(self._error, error)
        self.close()


def watch(  # noqa: PLR0913 -- what to watch, and how
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    every: float | str = "2%",
    signals: Literal["all", "weights"] = "all",
    layers: str | None = None,
    depth: Sequence[str] | None = None,
    scaler: GradScaler | None = None,
    chance: float | None = None,
    to: str | None = None,
    **run: Any,
) -> Watch:
    """Measure ``model`` from its next forward pass on, whenever ``optimizer`` steps; several that step in turn make one
    step together.

    ``every``: which steps are recorded; 10 is each tenth, "0.5s" one in half a second, "2%" as many as that share of
    the time pays for (the first 51 always, 20 without a loss). ``signals``: "weights" leaves out h and δ, and with them
    all hooks. ``layers``: a regular expression of names to record. ``depth``: patterns of the modules whose outputs are
    the depth axis, where what is found is not it (see ``Watch.layers``). ``scaler``: what scales the loss, so that δ is
    without it. ``chance``: the loss of who knows no case, where the targets are not found behind the loss that
    ``Watch.loss`` is told. ``to``: the address of a service that keeps the records too; ``run``: its ``key``, and which
    run of it this is, by ``experiment``, ``variant``, ``seed`` and the like (``stream.Destination``).

    ValueError where ``every`` is none of these, or nothing is to be watched.
    """
    check_parallel(model, optimizer)
    optimizers = [bare(its) for its in ([optimizer] if isinstance(optimizer, Optimizer) else optimizer)]
    if not optimizers or next(model.parameters(), None) is None:
        raise ValueError("watch needs a model with parameters, and an optimiser")
    where = destination_of(to, run)
    options = Options(every=every, signals=signals, layers=layers, depth=depth, scaler=scaler, chance=chance, to=where)
    return Watch(model, optimizers, options)


@contextmanager
def watching(model: nn.Module, optimizer: Optimizer | Sequence[Optimizer], **options: Any) -> Iterator[Watch]:
    """``watch`` for as long as a block runs; its report can be asked for afterwards."""
    watched = watch(model, optimizer, **options)
    try:
        yield watched
    finally:
        watched.close()
