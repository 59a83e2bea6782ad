"""The records of a run as a clinic holds them, step by step: one stretch of them in memory, whatever its length."""

import datetime as dt
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa

from gradient_clinic.command.clinic import Client, Json, RefusedError
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.calls import AwayError

NO_LAYERS: Final[tuple[tuple[str, ...], dict[str, Array]]] = ((), {})
ARROW: Final = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded step. ``signals``: by name, a number per layer; without those that an untrained network has not.

    ``wall_time``: seconds since 1970; the start of the run's last attempt and the time of its steps since then, without
    that of recording. What is not told adds nothing. A log has no layers, and of the curves those that were told.
    """

    step: int
    wall_time: float
    layers: tuple[str, ...]
    curves: dict[str, float]
    signals: dict[str, Array]


def records_of(client: Client, run: Json, signals: Sequence[str] = SIGNALS, every: int = 1) -> Iterator[Record]:
    """In order of steps, those that ``every`` divides. Nothing where retention has dropped the values of the run.

    AwayError where the clinic ends the stream before its end, as it does when the run begins anew meanwhile.
    """
    if not are_kept(client, run):
        return
    with ExitStack() as stack:
        curves = stack.enter_context(client.table(f"/v1/runs/{run['id']}/curves", ARROW))
        trace = stack.enter_context(client.table(f"/v1/runs/{run['id']}/trace?signal=all", ARROW))
        try:
            layers = _layers(_batches(trace))
            first = next(layers, None)
            beside = repeat(NO_LAYERS) if first is None else chain([first], layers)
            told = _curves(_batches(curves), started(run))
            for curve, layer in zip(told, beside, strict=first is not None):
                (step, wall_time, its), (names, of_layers) = curve, layer
                if step % every == 0:
                    kept = {signal: of_layers[signal] for signal in signals if signal in of_layers}
                    yield Record(step, wall_time, names, its, kept)
        except (httpx.RemoteProtocolError, pa.ArrowInvalid) as error:
            message = f"the records of run {run['id']} broke off: it has changed meanwhile; ask again ({error})"
            raise AwayError(message) from error


def are_kept(client: Client, run: Json) -> bool:
    """Whether the clinic still has its values; False where retention has dropped them."""
    try:
        with client.table(f"/v1/runs/{run['id']}/curves?to=0", ARROW):
            return True
    except RefusedError as error:
        if error.problem.get("status") == httpx.codes.GONE:
            return False
        raise


def started(run: Json) -> float:
    """When its last attempt began, in seconds since 1970; 0 where it never has."""
    return seconds_of(run["attempts"][-1]["started_at"]) if run["attempts"] else 0.0


def ended(run: Json) -> float:
    """When its last attempt ended, or began where that is not known."""
    its = run["attempts"][-1]["ended_at"] if run["attempts"] else None
    return started(run) if its is None else seconds_of(its)


def seconds_of(time: str) -> float:
    return dt.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


class _Sent(io.RawIOBase):
    """What a response has to give, as a file that can be read."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        super().__init__()
        self._parts = iter(parts)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = memoryview(part)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _batches(response: httpx.Response) -> Iterator[Any]:
    yield from pa.ipc.open_stream(io.BufferedReader(_Sent(response.iter_bytes())))


def _curves(batches: Iterator[Any], wall_time: float) -> Iterator[tuple[int, float, dict[str, float]]]:
    """(step, wall time, value by curve) of each record."""
    before = -1
    for batch in batches:
        columns = [batch.column(curve).to_pylist() for curve in CURVES]
        for step, *values in zip(batch.column("step").to_pylist(), *columns, strict=True):
            its: dict[str, float] = {
                name: value for name, value in zip(CURVES, values, strict=True) if value is not None
            }
            # Steps between two records are not told; they are taken to have lasted as long as the recorded one.
            taken = its.get("step_seconds", 0.0) * (step - before)
            wall_time += taken if np.isfinite(taken) else 0.0
            before = step
            yield step, wall_time, its


def _layers(batches: Iterator[Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Array]]]:
    """(names of the layers, their numbers by signal) of each record. A batch holds whole records."""
    for batch in batches:
        if not batch.num_rows:
            return
        names = tuple(batch.column("layer").dictionary.to_pylist())
        matrices = {
            signal: batch.column(signal).to_numpy().reshape(-1, len(names))
            for signal in SIGNALS
            if batch.column(signal).null_count == 0
        }
        for row in range(batch.num_rows // len(names)):
            yield names, {signal: matrix[row] for signal, matrix in matrices.items()}
