"""``python -m proofs.speed.memory``: what a worker holds while it trains one very long, very small run.

A clinic with one worker, as ``make up`` starts it; the run is submitted over HTTP and recorded in full. Meanwhile the
resident memory of the worker's process is read from /proc, so this one needs Linux. Tensors are tiny on purpose: what
grows with the number of steps, and nothing else, shows.
"""

import argparse
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import select

from models.status import State
from models.storage.database import Database
from models.storage.tables import Run
from proofs.clinic import clinic, scratch
from proofs.speed import report
from worker.slots import pid_of

SPEC: dict[str, Any] = {
    "name": "memory",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "hidden": [4, 4]},
    "optimizer": {"kind": "sgd"},
    "batch_size": 8,
    "seeds": [0],
}
LOOK_S = 0.5
SAMPLES_TOLD = 100
MOMENTS = (0.1, 0.5, 1.0)
SETTLED = 0.1
"""The slope is taken from here on: before it buffers, caches and the allocator find their sizes."""


@dataclass(frozen=True, slots=True)
class Sample:
    step: int
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000)
    steps: int = parser.parse_args().steps
    with scratch() as on, clinic(on, workers=1) as running:
        samples, peak = watched(on.database, running.address, steps)
    shown = samples[:: max(1, len(samples) // SAMPLES_TOLD)]
    figures = told(samples, steps) | {"peak_mb": peak, "samples": [asdict(sample) for sample in shown]}
    report.save("memory", {"experiment": SPEC | {"steps": steps}}, figures)
    show(figures, steps)


def watched(database: Database, address: str, steps: int) -> tuple[list[Sample], float]:
    """The worker's memory by step while it trains, and the most it ever held, the end of the run included."""
    run_id = submit(database, address, steps)
    samples, peak = [], 0.0
    while not (row := look(database, run_id)).state.is_finished:
        if row.pid is not None and (held := memory_of(row.pid)) is not None:
            peak = held.peak_mb
            samples.append(Sample(row.step, held.now_mb))
        time.sleep(LOOK_S)
    if row.state is not State.SUCCEEDED:
        message = f"the run {row.state}"
        raise RuntimeError(message)
    # At step 0 it is what loading takes, which no line through steps should see.
    return [sample for sample in samples if sample.step > 0], peak


def submit(database: Database, address: str, steps: int) -> uuid.UUID:
    response = httpx.post(f"{address}/v1/experiments", json=SPEC | {"steps": steps}, trust_env=False)
    response.raise_for_status()
    with database.begin() as session:
        query = select(Run.id).where(Run.experiment_id == uuid.UUID(response.json()["id"]))
        return session.execute(query).scalar_one()


@dataclass(frozen=True, slots=True)
class Seen:
    state: State
    step: int
    pid: int | None


def look(database: Database, run_id: uuid.UUID) -> Seen:
    with database.begin() as session:
        row = session.execute(select(Run.state, Run.step, Run.worker).where(Run.id == run_id)).one()
    pid = None if row.worker is None else pid_of(row.worker)
    return Seen(State(row.state), row.step, pid)


@dataclass(frozen=True, slots=True)
class Held:
    now_mb: float
    peak_mb: float


def memory_of(pid: int) -> Held | None:
    """Of a process, from the kernel; None once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return Held(kilobytes["VmRSS"] / 1024, kilobytes["VmHWM"] / 1024) if kilobytes else None


def told(samples: Sequence[Sample], steps: int) -> dict[str, Any]:
    at = {f"{share:.0%}": round(nearest(samples, share * steps).megabytes, 1) for share in MOMENTS}
    # A line through the rest, as two samples would show the allocator's mood.
    settled = [sample for sample in samples if sample.step >= SETTLED * steps]
    slope = float(np.polyfit([sample.step for sample in settled], [sample.megabytes for sample in settled], 1)[0])
    return {"mb_at": at, "mb_per_100000_steps": round(1e5 * slope, 2)}


def nearest(samples: Sequence[Sample], step: float) -> Sample:
    return min(samples, key=lambda sample: abs(sample.step - step))


def show(figures: dict[str, Any], steps: int) -> None:
    report.show(
        f"One worker's resident memory over {steps:,} recorded steps (2 hidden layers × 4 units, batch 8)",
        ("", "MB"),
        [
            *((f"at {moment} of the steps", megabytes) for moment, megabytes in figures["mb_at"].items()),
            ("most ever, up to the last look", figures["peak_mb"]),
            ("slope per 100,000 steps, from 10 % on", figures["mb_per_100000_steps"]),
        ],
    )


if __name__ == "__main__":
    main()
