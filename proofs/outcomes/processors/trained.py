"""``python -m proofs.outcomes.processors.trained FILE name…``: cases and trials as this process's settings have them.

Each line of FILE is one case: what was asked and seen of it, and the summaries of its runs.
"""

import argparse
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gradient_clinic.verdict.shapes import RunSummary
from models.specs.experiment import ExperimentSpec
from proofs import pool
from proofs.outcomes.grouped import WAYS, train_grouped
from proofs.outcomes.running import Ran, train_here, trained_by
from proofs.outcomes.trials.judging import lines_of


class TrainedRun(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    seed: int
    summary: RunSummary


class Asked(BaseModel):
    """A line of ``make verdicts``: what it requires, what was seen, and whether it held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: str
    seen: str
    held: bool


class Trained(BaseModel):
    """One case under one setting. Runs are those of one experiment after another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    lines: tuple[Asked, ...]
    experiments: tuple[tuple[TrainedRun, ...], ...]


def train_case(name: str, perturbed: int | None, way: str | None) -> Trained:
    experiments: list[tuple[TrainedRun, ...]] = []

    def train_and_keep(spec: ExperimentSpec) -> list[Ran]:
        runs = train_here(spec, perturbed) if way is None else train_grouped(spec, WAYS[way])
        kept = (TrainedRun(variant=run.variant, seed=run.seed, summary=run.summary) for run in runs)
        experiments.append(tuple(kept))
        return runs

    with trained_by(train_and_keep):
        lines = [
            Asked(required=f"{line.case}: {line.required}", seen=line.seen, held=line.held) for line in lines_of(name)
        ]
    return Trained(name=name, lines=tuple(lines), experiments=tuple(experiments))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proofs.outcomes.processors.trained", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--perturbed", type=int)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    with asked.file.open("w") as file:
        train = partial(train_case, perturbed=asked.perturbed, way=asked.way)
        for trained in pool.over(train, asked.names, asked.processes):
            file.write(trained.model_dump_json() + "\n")
            # The cases that are done are there, should the process be ended.
            file.flush()


if __name__ == "__main__":
    main()
