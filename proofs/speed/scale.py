"""``python -m proofs.speed.scale``: thousands of tiny runs through the service, by number of worker processes.

Ten seeds to an experiment, all submitted in batches to a clinic that is up and warm. The clock runs from the end of the
submission until so many runs have ended, while the others wait behind them. What the service takes is held against the
same training by the engine alone, one after another, on as many cores as there are workers or cores. Meanwhile the list
is asked for, and what the dispatcher and PostgreSQL hold is looked at. Once as it is by default, with runs of one
experiment trained together where that is faster, and once with every run alone.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import psutil
import torch
from sqlalchemy import func, select, text

from local.supervisor import Clinic
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.database import Database
from models.storage.tables import Run
from proofs.clinic import Scratch, clinic, scratch
from proofs.speed import report
from worker.engine import train
from worker.plugins.cases import data_of

Spec = dict[str, Any]
SEEDS: Final = 10
"""Runs of an experiment."""
BATCH: Final = 1_000
"""Experiments of a request, at most."""
ALONE: Final = 20
"""Trainings without the service."""
LOOK_S: Final = 0.5
SPEC: Final[Spec] = {
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 4, "width": 32, "activation": "tanh"},
    "optimizer": {"kind": "adam"},
    "batch_size": 64,
    "steps": 450,  # a fifth of a second
    "seeds": list(range(SEEDS)),
}
TOGETHER, APART = "together", "alone"
_CONNECTIONS: Final = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=10_000, help="runs that are submitted, whole experiments of 10")
    parser.add_argument("--runs", type=int, default=300, help="of those, as many as are trained")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], help="processes, one figure each")
    parser.add_argument("--ways", nargs="+", default=[TOGETHER, APART], choices=[TOGETHER, APART])
    options = parser.parse_args()
    alone_s = statistics.median(alone())
    figures: dict[str, Any] = {"run_alone_s": round(alone_s, 4), "cores": os.cpu_count()}
    with scratch() as on:
        for way in options.ways:
            spec = SPEC | {"batching": way == TOGETHER}
            figures[way] = {
                str(workers): measured(on, spec, workers, options.queued // SEEDS, options.runs, alone_s)
                for workers in options.workers
            }
    report.save("scale", {"experiment": SPEC, **vars(options)}, figures)
    show(figures)


def alone() -> Iterator[float]:
    """Seconds of a training by the engine, recorded as in the service, but for the first, which loads what it needs."""
    torch.set_num_threads(1)
    spec = ExperimentSpec.model_validate(SPEC | {"name": "alone"})
    (variant,) = expand(spec)
    data = data_of(variant.plan.dataset, 0)
    for number in range(ALONE + 1):
        began = time.perf_counter()
        for _ in train(variant.plan, data, seed=number):
            pass
        if number:
            yield time.perf_counter() - began


def measured(  # noqa: PLR0913, PLR0917 -- a clinic, what it is given and what that is held against
    on: Scratch, spec: Spec, workers: int, experiments: int, runs: int, alone_s: float
) -> dict[str, Any]:
    with (
        clinic(on, workers=workers) as running,
        httpx.Client(base_url=running.address, timeout=60.0, trust_env=False) as http,
    ):
        warm = -(-2 * workers // SEEDS)
        submit(http, spec, f"warm {workers}", warm)
        until_ended(on.database, warm * SEEDS)
        began = time.perf_counter()
        submit(http, spec, f"scale {workers}", experiments)
        submitted_s, watcher = time.perf_counter() - began, Watcher(running, http, on.database)
        first, began = ended(on.database), time.perf_counter()
        until_ended(on.database, first + runs, watcher.look)
        trained, seconds = ended(on.database) - first, time.perf_counter() - began
    with on.database.begin() as session:  # what waited behind them
        session.execute(text("TRUNCATE experiment CASCADE"))
    least_s = trained * alone_s / min(workers, os.cpu_count() or 1)
    return {
        "queued": experiments * SEEDS,
        "runs": trained,
        "submitted_s": round(submitted_s, 2),
        "seconds": round(seconds, 2),
        "overhead": round(seconds / least_s - 1.0, 3),
        "claims_per_s": round(trained / seconds, 1),
        **watcher.figures(),
    }


def submit(http: httpx.Client, spec: Spec, name: str, experiments: int) -> None:
    items = [spec | {"name": f"{name}, {number}"} for number in range(experiments)]
    for first in range(0, experiments, BATCH):
        response = http.post("/v1/experiments/batch", json={"items": items[first : first + BATCH]})
        response.raise_for_status()
        assert {item["status"] for item in response.json()["items"]} == {httpx.codes.ACCEPTED}


def until_ended(database: Database, runs: int, look: Callable[[], object] = lambda: None) -> None:
    """So many, in all. RuntimeError where a run did not succeed."""
    while ended(database) < runs:
        look()
        time.sleep(LOOK_S)


def ended(database: Database) -> int:
    query = select(Run.state, func.count()).where(Run.ended_at.is_not(None)).group_by(Run.state)
    with database.begin() as session:
        found = {State(state): many for state, many in session.execute(query)}
    if found.keys() - {State.SUCCEEDED}:
        message = f"runs that have ended: {found}"
        raise RuntimeError(message)
    return found.get(State.SUCCEEDED, 0)


class Watcher:
    """What the service holds, and how long its list takes, while the runs are trained."""

    def __init__(self, running: Clinic, http: httpx.Client, database: Database) -> None:
        dispatcher = running.pid("dispatcher")
        assert dispatcher is not None  # the clinic is up
        self._dispatcher, self._http, self._database = psutil.Process(dispatcher), http, database
        self._listed_ms: list[float] = []
        self._memory: list[int] = []
        self._connections: list[int] = []

    def look(self) -> None:
        began = time.perf_counter()
        self._http.get("/v1/experiments").raise_for_status()
        self._listed_ms.append(1e3 * (time.perf_counter() - began))
        self._memory.append(self._dispatcher.memory_info().rss)
        with self._database.begin() as session:
            self._connections.append(session.execute(_CONNECTIONS).scalar_one())

    def figures(self) -> dict[str, Any]:
        return {
            "list_ms": report.spread(self._listed_ms),
            "list_ms_at_first": round(self._listed_ms[0], 1),
            "dispatcher_mb": round(max(self._memory) / 2**20, 1),
            "connections": max(self._connections),
        }


def show(figures: dict[str, Any]) -> None:
    alone_s = figures["run_alone_s"]
    named = [(way, *its) for way in (TOGETHER, APART) for its in figures.get(way, {}).items()]
    report.show(
        f"Runs of {alone_s:.2f} s each through the service, {figures['cores']} cores",
        (
            "runs trained",
            "workers",
            "queued",
            "runs",
            "s",
            "over the training",
            "runs/s",
            "list p95 ms",
            "dispatcher MB",
            "connections",
        ),
        [
            (
                way,
                workers,
                its["queued"],
                its["runs"],
                its["seconds"],
                f"{its['overhead']:+.0%}",
                its["claims_per_s"],
                its["list_ms"]["p95"],
                its["dispatcher_mb"],
                its["connections"],
            )
            for way, workers, its in named
        ],
    )


if __name__ == "__main__":
    main()
