"""The records of a watch as a service keeps them: in the order of layers, without gaps, at even distances.

Nothing of it is felt by a training: a failure in here is told once and ends the stream, and the watch goes on.
"""

import math
import os
import platform
import socket
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from gradient_clinic.layers import Layer
from gradient_clinic.signals import CURVES
from gradient_clinic.values import Array, finite_or_none
from gradient_clinic.watcher.cadence import Even
from gradient_clinic.watcher.calls import Body, Call, Service, plain_line
from gradient_clinic.watcher.gaps import Gaps
from gradient_clinic.watcher.outbox import Line, Outbox
from gradient_clinic.watcher.report import Observed
from gradient_clinic.watcher.setup import described
from gradient_clinic.watcher.spool import Spool
from gradient_clinic.watcher.trace import layer_of, order_of

SPOOL_BYTES: Final = 256 << 20
NO_LOSS: Final = "nothing is sent to the service: no loss is told (w.loss(loss)), and its verdicts need one"
NO_AXIS: Final = "nothing is sent to the service: no h and δ on a depth axis were measured"
REMEMBERED: Final = 10_000
"""Steps whose times the median is taken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A service and which run of it this training is. ``steps``: of the whole training, where they are known."""

    to: str
    key: str | None = None
    experiment: str = field(default_factory=lambda: f"watched {time.strftime('%Y-%m-%d %H:%M:%S')} {os.getpid()}")
    variant: str = "baseline"
    seed: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    data: str | None = None
    metric: Literal["accuracy", "balanced_accuracy", "r2"] = "accuracy"
    steps: int | None = None
    spool: str | Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "gradient-clinic")
    spool_bytes: int = SPOOL_BYTES
    wait_s: float = 10.0
    """At the end, for what the service has not got yet."""


def destination_of(to: str | None, run: Mapping[str, Any]) -> Destination | None:
    """``run``: the other fields. TypeError where there is none of that name, or no service to tell it."""
    if to is None and run:
        message = f"{', '.join(run)}: of a run in a service, whose address is to="
        raise TypeError(message)
    if to is not None and not to.startswith(("http://", "https://")):
        message = f"to={to!r} is no address of a service: it begins with http:// or https://"
        raise ValueError(message)
    return None if to is None else Destination(to=to, **run)


class Stream:
    """``say`` is told, once, what ends it."""

    def __init__(self, destination: Destination, cadence: Even, say: Callable[[str], None]) -> None:
        self._destination, self._cadence, self._say = destination, cadence, say
        self._service = Service(destination.to, destination.key)  # fails here where it cannot be
        self._lead: list[tuple[int, Array, Array]] = []
        self._order: list[int] = []
        self._layers: tuple[Layer, ...] = ()
        self._gaps = Gaps((), ())
        self._last_loss = math.nan
        self._outbox: Outbox | None = None
        self._opening: Callable[[], tuple[Call, Body]] | None = None
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self.held_out: tuple[float | None, float | None] = None, None
        """Loss and metric of cases that were not trained on."""
        self._began = time.perf_counter()
        self._next = 0
        self._ended = False
        self._token = str(uuid.uuid4())

    @property
    def run(self) -> str | None:
        """The address of the run, once the service has it."""
        links = {} if self._outbox is None else self._outbox.opened.get("links", {})
        return f"{self._destination.to.rstrip('/')}{links['run']}" if links else None

    def add(self, step: int, matrix: Array, curves: Mapping[str, float], observed: Callable[[], Observed]) -> None:
        """``matrix``: (signals, rows) as recorded. ``observed`` is asked at the first record."""
        if self._ended:
            return
        try:
            self._add(step, matrix, curves, observed)
        except Exception as error:  # noqa: BLE001 -- the edge: beyond it is somebody's training
            self._stop(f"sending to the service has ended by an error of its own: {error!r}")

    def close(self, its: Observed, why: str | None) -> None:
        """Say how it has ended, and wait until that is there, for so long as was asked. ``why``: nobody can judge
        it.
        """
        ending = {
            "steps": max(its.steps, 1),
            "outcome": "finished" if its.records.first_broken is None else "diverged",
            "conditions": its.conditions[:200],
            "chance_level": _chance(its),
            "test_loss": finite_or_none(self.held_out[0]),
            "test_metric": finite_or_none(self.held_out[1]),
            "seconds": time.perf_counter() - self._began,
            "overhead": 1.0 + its.cost,
            "error": None if why is None else plain_line(why),
        }
        try:
            self._close(ending, join=True)
        except Exception as error:  # noqa: BLE001 -- as above
            self._say(f"sending to the service has ended by an error of its own: {error!r}")

    def _close(self, ending: Body, *, join: bool) -> None:
        if self._ended:
            return
        self._ended = True
        if self._lead:
            self._cadence.stride = 1  # it ended before a cadence was chosen
            self._open()
        if self._outbox is None:
            self._service.close()
            return
        seconds = float(np.median(self._seconds)) if self._seconds else None
        ending = {**ending, "step_seconds": seconds, "token": self._token}
        self._outbox.close(ending, self._destination.wait_s, join=join)

    def _add(self, step: int, matrix: Array, curves: Mapping[str, float], observed: Callable[[], Observed]) -> None:
        if self._opening is None and not self._begin(matrix, curves, observed):
            return
        self._seconds.append(curves["step_seconds"])
        self._last_loss = curves.get("loss", self._last_loss)  # a step that was told none has that of the one before
        curves = {**curves, "loss": self._last_loss}
        line = step, self._gaps.filled(matrix[:, self._order]), np.array([curves.get(name, 0.0) for name in CURVES])
        if self._outbox is None:
            self._lead.append(line)
            if self._cadence.stride is not None:
                self._open()
        else:
            self._send(*line)

    def _begin(self, matrix: Array, curves: Mapping[str, float], observed: Callable[[], Observed]) -> bool:
        its = observed()
        self._order = order_of(its.rows)
        self._layers = tuple(layer_of(its.rows[index], matrix[:, index]) for index in self._order)
        if "loss" not in curves or not any(layer.role == "hidden" for layer in self._layers):
            self._stop(NO_LOSS if "loss" not in curves else NO_AXIS)
            return False
        self._gaps = Gaps([its.rows[index] for index in self._order], self._layers)

        def opening() -> tuple[Call, Body]:
            """When the cadence is known."""
            return Call(None, self._described(its, matrix)), {"chance_level": _chance(observed())}

        self._opening = opening
        return True

    def _described(self, its: Observed, first: Array) -> Body:
        where = self._destination
        network = {
            **described(its.model, its.rows, self._layers, first, has_skips=its.has_skips, values=its.values),
            "optimizer": its.optimizer,
            "every": self._cadence.stride,
            "steps": where.steps,
        }
        return {
            "token": self._token,
            "experiment": where.experiment,
            "variant": where.variant,
            "seed": where.seed,
            "labels": dict(where.labels),
            "data": where.data,
            "metric": where.metric,
            "network": network,
            "writer": f"{socket.gethostname()}:{os.getpid()}",
            "device": str(next(its.model.parameters()).device),
            "versions": _versions(),
        }

    def _open(self) -> None:
        assert self._opening is not None  # as a record was kept
        opening, first = self._opening()
        path = Path(self._destination.spool) / f"{self._token}.jsonl"
        spool = Spool(path, self._destination.spool_bytes, opening)
        self._outbox = Outbox(self._service, spool, opening, first, self._say)
        for line in self._lead:
            self._send(*line)
        self._lead.clear()

    def _send(self, step: int, signals: Array, curves: Array) -> None:
        assert self._outbox is not None  # both are there by now
        assert self._cadence.stride is not None
        if step % self._cadence.stride:
            return  # of the lead, which is recorded whole
        if step != self._next:
            self._stop(f"step {self._next} was not recorded: nothing from there on is sent to the service")
            return
        self._next = step + self._cadence.stride
        self._outbox.add(Line(step, signals, curves))

    def _stop(self, why: str) -> None:
        self._say(why)
        ending = {"steps": max(self._next, 1), "conditions": "not watched to its end", "error": plain_line(why)}
        self._lead.clear()
        self._close(ending, join=False)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": torch.__version__}
    try:
        return found | {"gradient-clinic": version("gradient-clinic")}
    except PackageNotFoundError:  # run from its sources
        return found


def _chance(its: Observed) -> float | None:
    """Where no target was seen, the first loss stands for it."""
    level = its.records.first_loss if its.chance_level is None else its.chance_level
    return level if math.isfinite(level) and level > 0.0 else None
