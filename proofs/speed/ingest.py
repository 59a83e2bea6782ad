"""``python -m proofs.speed.ingest``: fifty watched trainings that send their records at once.

A whole clinic, and beside it processes that hold what a watch sends with: its own thread, queue and calls, fed with
records as ten layers make them, without a training. Together they tell 10,000 values a second, then five times as many.
A call is timed where it is made, in the thread of the watch.
"""

import argparse
import multiprocessing
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.watcher.calls import ENDS, Call, Service
from gradient_clinic.watcher.outbox import Line, Outbox
from gradient_clinic.watcher.spool import Spool
from proofs.clinic import clinic, scratch
from proofs.speed import report

WRITERS: Final = 50
PROCESSES: Final = 5
"""Ten writers each: fifty in one interpreter would wait for each other and not for the clinic."""
LAYERS: Final = 10
VALUES: Final = len(SIGNALS) * LAYERS + len(CURVES)
"""Of a record."""
RATES: Final = (10_000, 50_000)
"""Values a second, of all writers together."""
SECONDS: Final = 30.0
SPOOL_BYTES: Final = 1 << 28


class Timed(Service):
    """How long each message of records took, in milliseconds; and how many were refused or found nobody."""

    def __init__(self, url: str) -> None:
        super().__init__(url, None)
        self.milliseconds: list[float] = []
        self.failed = 0

    def send(self, call: Call) -> None:
        began = time.perf_counter()
        try:
            super().send(call)
        except Exception:
            self.failed += 1
            raise
        # An opening and an end are said once in a training, records all along.
        if call.first not in {None, ENDS}:
            self.milliseconds.append(1e3 * (time.perf_counter() - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args()
    figures = {}
    for rate in RATES:
        # Anew for each rate: rows of the one before would lengthen the calls of the next.
        with scratch() as on, clinic(on) as running:
            figures[f"{rate:,} values/s"] = _measured(running.address, rate, asked.writers, asked.seconds)
    report.save("ingest", {"writers": asked.writers, "seconds": asked.seconds, "layers": LAYERS}, figures)
    rows = [(rate, its["told_per_second"], its["failed"], *its["call_ms"].values()) for rate, its in figures.items()]
    report.show("Records of many watched trainings, a call", ("asked for", "told/s", "failed", "p50 ms", "p95"), rows)


def _measured(address: str, rate: int, writers: int, seconds: float) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        told = pool.starmap(_written, [(address, rate / writers, share, seconds) for share in shares(writers)])
    times = [each for _, each_times, _ in told for each in each_times]
    return {
        "call_ms": report.spread(times),
        "calls": len(times),
        "told_per_second": round(sum(values for values, _, _ in told) / seconds),
        "failed": sum(failed for _, _, failed in told),
    }


def shares(writers: int) -> list[int]:
    """How many of them each process has: all are there, however many are asked for."""
    return [len(range(first, writers, PROCESSES)) for first in range(PROCESSES)]


def _written(address: str, rate: float, writers: int, seconds: float) -> tuple[int, list[float], int]:
    """(values told, milliseconds of each call, calls that failed) of some writers in one process."""
    random = np.random.default_rng(report.SEED)
    signals, curves = random.random((len(SIGNALS), LAYERS)), random.random(len(CURVES))
    with TemporaryDirectory() as folder:
        services = [Timed(address) for _ in range(writers)]
        outboxes = {token: _opened(service, token, Path(folder)) for token, service in _named(services).items()}
        _until(lambda: all(its.opened for its in services))
        steps, began = int(seconds * rate / VALUES), time.monotonic()
        # Trainings of their own: no two make their steps at the same moments.
        # Without a seed: five processes of one seed would send in step.
        phases = np.random.default_rng().random(writers)
        due = sorted(
            (began + (step + phase) * VALUES / rate, step, at)
            for step in range(steps)
            for at, phase in enumerate(phases)
        )
        told = list(outboxes.values())
        for moment, step, at in due:
            time.sleep(max(0.0, moment - time.monotonic()))
            told[at].add(Line(step, signals, curves))
        for token, outbox in outboxes.items():
            # Not joined one by one: all ends are on their way at once, as those of fifty trainings would be.
            outbox.close({"token": token, "steps": steps, "conditions": "sgd 0.1"}, 60.0, join=False)
        _until(lambda: all(its.over for its in outboxes.values()))
    cut = [its.cut for its in outboxes.values() if its.cut]
    assert not cut, cut
    values = steps * VALUES * writers
    return values, [each for its in services for each in its.milliseconds], sum(its.failed for its in services)


def _until(holds: Any) -> None:
    while not holds():
        time.sleep(0.05)


def _named(services: Sequence[Timed]) -> dict[str, Timed]:
    return {str(uuid.uuid4()): service for service in services}


def _opened(service: Service, token: str, folder: Path) -> Outbox:
    layers: Sequence[Mapping[str, Any]] = [
        {"name": f"hidden.{at}", "role": "hidden", "activation": {"function": "relu"}} for at in range(LAYERS - 1)
    ]
    network = {
        "kind": "mlp",
        "layers": [*layers, {"name": "output", "role": "output"}],
        "parameters": 10_000,
        "optimizer": "SGD",
        "every": 1,
    }
    body = {"token": token, "experiment": token, "network": network, "writer": "benchmark"}
    spool = Spool(folder / token, SPOOL_BYTES, Call(None, body))
    return Outbox(service, spool, Call(None, body), {"chance_level": 2.3}, print)


if __name__ == "__main__":
    main()
