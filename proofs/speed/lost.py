"""``python -m proofs.speed.lost``: what a kill costs – steps that had been made and are made again, and their time.

A clinic with one worker trains one long run over HTTP; its child is killed at random moments, with a checkpoint every
so many seconds and without any. How far the child was is known by its last write, a second old at most, and by its
pace. The database says where the next attempt begins. The bound is what the life of a run promises: the interval and
the rest of a chunk of 200 records.
"""

import argparse
import os
import random
import signal
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx
from sqlalchemy import select

from local.supervisor import Clinic
from models.status import State
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.rollups import CHUNK_RECORDS
from proofs.clinic import clinic, scratch
from proofs.speed import report
from worker.slots import pid_of

SPEC: dict[str, Any] = {
    "name": "lost",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 10, "width": 64},
    "optimizer": {"kind": "adam"},
    "steps": 200_000,
    "seeds": [0],
}
LOOK_S = 0.02
LONGEST_S = 120.0
GAP_S = (1.0, 9.0)
"""Between the first record of an attempt and its kill."""


@dataclass(frozen=True, slots=True)
class Kill:
    """``made``: steps that had been made; ``from_step``: where the next attempt began; ``away_s``: until it did."""

    made: float
    from_step: int
    step_s: float
    away_s: float

    @property
    def lost_steps(self) -> float:
        return self.made - self.from_step

    @property
    def lost_s(self) -> float:
        return self.lost_steps * self.step_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="with checkpoints, and as many without")
    parser.add_argument("--checkpoint-seconds", type=float, default=2.0)
    options = parser.parse_args()
    figures = {}
    for name, every_s in (("with checkpoints", options.checkpoint_seconds), ("without", 0.0)):
        settings = {"CLINIC_CHECKPOINT_S": str(every_s), "CLINIC_MAX_ATTEMPTS": "1000"}
        with scratch() as on, clinic(on, workers=1, **settings) as running:
            kills = list(Watched(on.database, running).kills(options.kills, random.Random(report.SEED)))  # noqa: S311
        figures[name] = figures_of(kills, every_s)
    report.save("lost", {"experiment": SPEC, **vars(options)}, figures)
    show(figures, options.checkpoint_seconds)


class Watched:
    """One run, and what is seen of it from outside."""

    def __init__(self, database: Database, running: Clinic) -> None:
        self._database, self._running = database, running
        response = httpx.post(f"{running.address}/v1/experiments", json=SPEC, trust_env=False)
        response.raise_for_status()
        with database.begin() as session:
            query = select(Run.id).where(Run.experiment_id == uuid.UUID(response.json()["id"]))
            self._run_id = session.execute(query).scalar_one()

    def kills(self, number: int, dice: random.Random) -> Iterator[Kill]:
        """The run is left behind unfinished."""
        attempt = 0
        while attempt < number:
            # A kill before the first record would cost nothing, and make the mean look better than it is.
            row = self._training(attempt + 1)
            made, step_s = self._made_after(dice.uniform(*GAP_S))
            os.kill(pid_of(row.worker), signal.SIGKILL)
            killed_at, attempt = time.monotonic(), row.attempt
            # Asked at once: the row says where the attempt begins until its own first checkpoint overwrites that.
            begun = self._claimed(attempt + 1)
            yield Kill(made, begun.checkpoint_step or 0, step_s, time.monotonic() - killed_at)

    def _training(self, attempt: int) -> Any:
        """The row, once that attempt has written its first records."""
        begun = self._claimed(attempt)
        first = begun.checkpoint_step or 0
        return self._when(lambda row: row.attempt == attempt and row.step > first)

    def _claimed(self, attempt: int) -> Any:
        return self._when(lambda row: row.attempt == attempt and row.state == State.RUNNING)

    def _made_after(self, seconds: float) -> tuple[float, float]:
        """(steps made, seconds a step) after so long, from the writes that are seen meanwhile."""
        until, writes = time.monotonic() + seconds, [(time.monotonic(), self._row().step)]
        while time.monotonic() < until or len(writes) < 3:
            step = self._row().step
            if step != writes[-1][1]:
                writes.append((time.monotonic(), step))
            time.sleep(LOOK_S)
        # From the second on: when the row that was found first had been written is not known.
        (began, first), (last_at, last) = writes[1], writes[-1]
        step_s = (last_at - began) / (last - first)
        return last + (time.monotonic() - last_at) / step_s, step_s

    def _when(self, seen: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + LONGEST_S
        while not seen(row := self._row()):
            if time.monotonic() > deadline:
                message = f"the run is {row.state} in attempt {row.attempt} at step {row.step}"
                raise RuntimeError(message)
            self._running.tend()
            time.sleep(LOOK_S)
        return row

    def _row(self) -> Any:
        columns = (Run.state, Run.step, Run.worker, Run.attempt, Run.checkpoint_step)
        with self._database.begin() as session:
            return session.execute(select(*columns).where(Run.id == self._run_id)).one()


def figures_of(kills: Sequence[Kill], every_s: float) -> dict[str, Any]:
    """``bound_s`` is None without checkpoints, where a kill costs all that was trained."""
    step_s = statistics.median(kill.step_s for kill in kills)
    return {
        "kills": [asdict(kill) for kill in kills],
        "step_ms": round(1e3 * step_s, 3),
        "lost_steps": _spread([kill.lost_steps for kill in kills]),
        "lost_s": _spread([kill.lost_s for kill in kills]),
        "bound_s": round(every_s + CHUNK_RECORDS * step_s, 2) if every_s else None,
        "away_s": _spread([kill.away_s for kill in kills]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(statistics.fmean(values), 2), "most": round(max(values), 2)}


def show(figures: dict[str, Any], every_s: float) -> None:
    header = ("", "kills", "steps again", "most", "seconds again", "most", "bound", "until the next attempt", "most")
    names = {"with checkpoints": f"a checkpoint every {every_s:g} s", "without": "no checkpoints"}
    rows = [
        (
            names[name],
            len(cost["kills"]),
            *cost["lost_steps"].values(),
            *cost["lost_s"].values(),
            cost["bound_s"],
            *cost["away_s"].values(),
        )
        for name, cost in figures.items()
    ]
    report.show("What a killed worker child costs, on average and at most", header, rows)


if __name__ == "__main__":
    main()
