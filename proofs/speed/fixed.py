"""``python -m proofs.speed.fixed``: what a run costs beside its steps, from the claim to the stored verdict, by part.

Runs of one recorded step of 4 × 32 units, carried out one after another by a worker's own code in this process, on a
PostgreSQL whose commits wait for the disk. Once by the clock alone, which gives the sum, and once under Python's
profiler, which gives each part's share of it: the profiler slows all, so its times are scaled to that sum.
"""

import argparse
import cProfile
import pstats
import statistics
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import select

from models import heap, runs
from models.plan import expand
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from proofs.clinic import scratch
from proofs.speed import report
from worker.attempt import Workshop

WARM: Final = 20
SEEDS: Final = 10
SPEC: Final[dict[str, Any]] = {
    "name": "fixed",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 4, "width": 32, "activation": "tanh"},
    "optimizer": {"kind": "adam"},
    "batch_size": 64,
    "steps": 1,
    "seeds": list(range(SEEDS)),
    "batching": False,
}
WHOLE: Final = ("worker/attempt.py", "carry_out")
PARTS: Final[Mapping[str, tuple[str, str]]] = {
    "claim": ("worker/attempt.py", "_claim"),
    "plan": ("models/plan/variants.py", "plan_variant"),
    "data": ("worker/plugins/cases.py", "data_of"),
    "network, optimiser, probe": ("worker/trainer.py", "__init__"),
    "the step": ("worker/trainer.py", "step"),
    "evaluation and result": ("worker/trainer.py", "result"),
    "last rows": ("worker/recorder.py", "write"),
    "trace read for the verdict": ("models/traces/ending.py", "read_ending"),
    "verdict": ("models/analysis/verdict/summary.py", "summarise"),
    "end of the run": ("models/runs/endings.py", "finish"),
    "comparison, where it is the last run": ("models/runs/comparing.py", "store_if_ended"),
    "memory given back": ("models/heap.py", "give_back"),
}
"""File and function; none calls another of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    heap.for_training()
    with scratch() as on:
        settings = Settings(database_url=SecretStr(on.url), workers=1, data_dir=Path(on.folder.path))
        workshop = Workshop.open(settings, gpu=False)
        figures = measured(workshop, on.database, options.runs)
        workshop.close()
    report.save("fixed", {"experiment": SPEC, **vars(options)}, figures)
    show(figures)


def measured(workshop: Workshop, database: Database, many: int) -> dict[str, Any]:
    for run_id in submitted(database, WARM):
        workshop.carry_out(run_id)
    taken, used = [], []
    for run_id in submitted(database, many):
        began, cpu = time.perf_counter(), time.thread_time()
        workshop.carry_out(run_id)
        taken.append(1e3 * (time.perf_counter() - began))
        used.append(1e3 * (time.thread_time() - cpu))
    profile = cProfile.Profile()
    for run_id in submitted(database, many):
        profile.runcall(workshop.carry_out, run_id)
    whole = statistics.median(taken)
    shares = parts_of(pstats.Stats(profile))
    return {
        "run_ms": report.spread(taken),
        "cpu_ms": report.spread(used),
        "parts_ms": {name: round(share * whole, 2) for name, share in shares.items()},
    }


def submitted(database: Database, many: int) -> Iterator[uuid.UUID]:
    spec = ExperimentSpec.model_validate(SPEC)
    for _ in range(-(-many // SEEDS)):
        with database.begin() as session:
            experiment_id = runs.submit(session, spec, expand(spec), owner="local")
        with database.begin() as session:
            query = select(Run.id).where(Run.experiment_id == experiment_id).order_by(Run.position)
            run_ids = list(session.execute(query).scalars())
        yield from run_ids


def parts_of(stats: pstats.Stats) -> dict[str, float]:
    """The share of each part in the whole, and of what no part holds."""
    seconds = {
        (file, function): cumulative
        for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items()  # type: ignore[attr-defined]
    }

    def of(part: tuple[str, str]) -> float:
        return float(
            sum(its for (file, function), its in seconds.items() if function == part[1] and file.endswith(part[0]))
        )

    shares = {name: of(part) / of(WHOLE) for name, part in PARTS.items()}
    return {**shares, "the rest": 1.0 - sum(shares.values())}


def show(figures: dict[str, Any]) -> None:
    its = figures["run_ms"]
    report.show(
        f"A run of one step: {its['p50']:.1f} ms, {figures['cpu_ms']['p50']:.1f} ms of them its thread's",
        ("part", "ms"),
        [(name, f"{ms:.1f}") for name, ms in figures["parts_ms"].items()],
    )


if __name__ == "__main__":
    main()
