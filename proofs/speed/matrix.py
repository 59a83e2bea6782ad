"""``python -m proofs.speed.matrix``: a whole experiment through the service, beside two scripts that train the same.

16 variants (every combination of four remedies) × 5 seeds, recorded in full, submitted over HTTP to a clinic with two
workers as ``make up`` starts it, and waited for: as it is by default, and with every run alone. Beside it, in turns on
the same cores: a good plain script (tensors resident, untraced, two processes) and the usual one (DataLoader, default
settings, one run after another), this also held to one thread. They keep nothing but accuracies. Also how long a warm
worker takes from submission to a first step.
"""

import argparse
import datetime as dt
import statistics
import time
import uuid
from typing import Any

import httpx
from sqlalchemy import select

from gradient_clinic.command.clinic import FINISHED
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Attempt, Run
from proofs.clinic import WORKERS, clinic, scratch
from proofs.speed import plain, report

Spec = dict[str, Any]
USUAL_SEEDS = 2
"""The usual script trains the variants of the first seeds only. Its runs follow one another: time is in proportion."""

USUAL_LIMIT_S = 60.0
"""Of the usual script: on a busy machine torch's threads wait for each other without end."""

SPEC: Spec = {
    "name": "matrix",
    "dataset": {"kind": "digits"},
    "network": {
        "kind": "mlp",
        "depth": plain.DEPTH,
        "width": plain.WIDTH,
        "activation": "sigmoid",
        "init": {"kind": "xavier_normal"},
    },
    "optimizer": {"kind": "adam", "learning_rate": plain.RATE},
    "batch_size": plain.BATCH,
    "steps": plain.STEPS,
    "remedies": [
        {"kind": "orthogonal_init"},
        {"kind": "batch_norm"},
        {"kind": "activation", "function": "relu"},
        {"kind": "clip_norm", "max_norm": plain.MAX_NORM},
    ],
    "design": "full_factorial",
    "seeds": [0, 1, 2, 3, 4],
}
ONE_STEP: Spec = SPEC | {"name": "one step", "steps": 1, "remedies": [], "design": "one_at_a_time", "seeds": [0]}
SERVICE, ALONE = "the service, traced", "the service, traced, every run alone"
GOOD = "good plain script, 2 processes"
USUAL, USUAL_ONE = "usual script, one after another", "the same, held to one thread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=len(SPEC["seeds"]))
    parser.add_argument("--starts", type=int, default=30, help="submissions of one step each")
    options = parser.parse_args()
    spec = SPEC | {"seeds": list(range(options.seeds))}
    with scratch() as on, clinic(on) as running:
        service = Service(running.address, on.database)
        starts = service.starts(options.starts)
        rounds = [one_round(service, spec) for _ in range(options.rounds)]
    figures = {"start": starts, "matrix": ratios(rounds), "rounds": rounds}
    report.save("matrix", {"experiment": spec, "workers": WORKERS, **vars(options)}, figures)
    show(spec, figures)


def one_round(service: "Service", spec: Spec) -> dict[str, dict[str, float]]:
    arms = arms_of(spec)
    ours = service.train_all(spec)
    alone = service.train_all(spec | {"batching": False})
    # One after the other in every round, so that the load of the machine hits all alike.
    good = plain.train_all("resident", arms, processes=WORKERS)
    some = [(remedies, seed) for remedies, seed in arms if seed in spec["seeds"][:USUAL_SEEDS]]
    usual = plain.train_all("usual", some, threads=None, limit_s=USUAL_LIMIT_S)
    # torch's default is a thread per core, which on small tensors, or beside other programs, may be slower than one.
    usual_one = plain.train_all("usual", some, limit_s=USUAL_LIMIT_S)
    named = {SERVICE: ours, ALONE: alone, GOOD: good, USUAL: usual, USUAL_ONE: usual_one}
    return {
        name: {"seconds": way.seconds * len(arms) / way.runs, "accuracy": way.accuracy, "runs": way.runs}
        for name, way in named.items()
    }


def arms_of(spec: Spec) -> list[plain.Arm]:
    """In the order in which the service takes them."""
    experiment = ExperimentSpec.model_validate(spec)
    kinds = [frozenset(remedy.kind for remedy in variant.remedies) for variant in expand(experiment)]
    return [(remedies, seed) for seed in experiment.seed_list() for remedies in kinds]


def ratios(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians over rounds; ``service_over`` and ``alone_over`` are the service's times over this one's in the same
    round, with runs together where that is faster and with each alone.
    """
    return {
        name: {
            "runs": rounds[0][name]["runs"],
            "seconds": round(statistics.median(times[name]["seconds"] for times in rounds), 2),
            "accuracy": round(statistics.median(times[name]["accuracy"] for times in rounds), 4),
            "service_over": _over(rounds, SERVICE, name),
            "alone_over": _over(rounds, ALONE, name),
        }
        for name in rounds[0]
    }


def _over(rounds: list[dict[str, dict[str, float]]], ours: str, name: str) -> float:
    return round(statistics.median(times[ours]["seconds"] / times[name]["seconds"] for times in rounds), 3)


class Service:
    """A client that submits and waits. What the API does not tell, as when a run was claimed, is read from rows."""

    def __init__(self, address: str, database: Database) -> None:
        self._http = httpx.Client(base_url=address, timeout=60.0, trust_env=False)
        self._database = database

    def train_all(self, spec: Spec) -> plain.Trained:
        """From the request to the answer that all has ended, comparison stored."""
        began = time.perf_counter()
        experiment = self._wait(self._submit(spec))
        seconds = time.perf_counter() - began
        with self._database.begin() as session:
            query = select(Run.summary).where(Run.experiment_id == uuid.UUID(experiment["id"]))
            summaries = [summary for summary in session.execute(query).scalars() if summary is not None]
        # Beside the scripts' own: a time counts only where as much was learnt.
        accuracy = statistics.fmean(summary.facts.test_metric for summary in summaries)
        return plain.Trained(seconds, accuracy, len(summaries))

    def starts(self, count: int) -> dict[str, Any]:
        """From before the request to the claim, and to the end of a run of one step: the first step lies between."""
        for _ in range(2 * WORKERS):
            self._wait(self._submit(ONE_STEP))  # until every worker is warm
        claimed, ended = zip(*(self._start() for _ in range(count)), strict=True)
        return {"claimed_ms": report.spread(claimed), "ended_ms": report.spread(ended)}

    def _start(self) -> tuple[float, float]:
        # This process and the database share a machine, so their clocks are one.
        submitted_at = dt.datetime.now(dt.UTC)
        experiment = self._wait(self._submit(ONE_STEP))
        with self._database.begin() as session:
            query = select(Attempt.started_at, Run.ended_at).join(Run, Run.id == Attempt.run_id)
            row = session.execute(query.where(Run.experiment_id == uuid.UUID(experiment["id"]))).one()
        return tuple((moment - submitted_at).total_seconds() * 1000.0 for moment in row)

    def _submit(self, spec: Spec) -> dict[str, Any]:
        response = self._http.post("/v1/experiments", json=spec)
        response.raise_for_status()
        experiment: dict[str, Any] = response.json()
        return experiment

    def _wait(self, experiment: dict[str, Any]) -> dict[str, Any]:
        # With its tag the clinic answers when something changes: a look in a fixed rhythm would round times up to it.
        path, tag = f"/v1/experiments/{experiment['id']}", ""
        while experiment["state"] not in FINISHED:
            response = self._http.get(path, params={"wait": 30}, headers={"If-None-Match": tag} if tag else {})
            if response.status_code != httpx.codes.NOT_MODIFIED:
                response.raise_for_status()
                experiment, tag = response.json(), response.headers["ETag"]
        if experiment["state"] != "succeeded":
            message = f"the experiment {experiment['state']}: {experiment['runs']}"
            raise RuntimeError(message)
        return experiment


def show(spec: Spec, figures: dict[str, Any]) -> None:
    runs = len(arms_of(spec))
    report.show(
        f"{runs} runs of mlp {plain.DEPTH} × {plain.WIDTH}, {plain.STEPS} steps, batch {plain.BATCH}: "
        f"medians of {len(figures['rounds'])} rounds",
        ("", "runs trained", "seconds for all", "the service over it", "every run alone over it", "mean accuracy"),
        [
            (name, way["runs"], way["seconds"], way["service_over"], way["alone_over"], way["accuracy"])
            for name, way in figures["matrix"].items()
        ],
    )
    start = figures["start"]
    report.show(
        "From submission to the first step, warm workers (it lies between the two)",
        ("", "p50 ms", "p95 ms"),
        [
            ("claimed by a worker", *start["claimed_ms"].values()),
            ("run of one step ended", *start["ended_ms"].values()),
        ],
    )


if __name__ == "__main__":
    main()
