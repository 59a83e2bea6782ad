"""``python -m proofs.speed.reads``: reads from the API with 75 million trace values and 12,500 experiments stored.

A real uvicorn process over HTTP on loopback, one client that keeps its connection. Runs are written and ended by the
code that workers use, without being trained; experiments are submitted by the code that the API uses. Beside it
MLflow's server is filled with histories per layer and gives them out, both through its own API.
"""

import argparse
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import func, select, text

from gradient_clinic.signals import SIGNALS
from models import runs
from models.plan import expand
from models.storage.database import Database
from models.storage.tables import Experiment
from models.traces.rollups import CHUNK_RECORDS
from proofs.clinic import Scratch, clinic, scratch
from proofs.speed import made, mlflow, peers, report

LAYERS = 50
LONG = {"steps": 100_000, "seeds": {"count": 2}}
"""Two runs × 100,000 steps × 50 layers × 9 signals = 90 million values."""
REMEDIES = [
    {"kind": "batch_norm"},
    {"kind": "layer_norm"},
    {"kind": "orthogonal_init"},
    {"kind": "activation", "function": "tanh"},
    {"kind": "residual"},
    {"kind": "clip_norm"},
    {"kind": "l2", "strength": 0.0001},
]
COMPARED = {"remedies": REMEDIES, "seeds": {"count": 25}}
"""(7 remedies + the baseline) × 25 seeds = 200 runs of 50 layers."""
POINTS = 320
"""What MLflow thins a history to for its own pages."""


@dataclass(frozen=True, slots=True)
class Stored:
    long: uuid.UUID
    compared: uuid.UUID
    values: int
    experiments: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=LONG["steps"], help="of each of the two long runs")
    parser.add_argument("--experiments", type=int, default=12_500)
    parser.add_argument("--requests", type=int, default=60, help="of each kind")
    parser.add_argument("--mlflow-seconds", type=float, default=40.0)
    options = parser.parse_args()
    with scratch() as on:
        stored = store(on.database, options)
        with clinic(on, "api") as running:
            asking = Asking(running.address, stored, options.steps, options.requests)
            answers = asking.all()
            counts = {"trace_values": stored.values, "experiments": stored.experiments}
            figures = {"stored": counts, "clinic": answers, "mlflow": beside(on, asking, options)}
    report.save("reads", {"long": LONG, "compared": COMPARED, "layers": LAYERS, **vars(options)}, figures)
    show(figures)


# --- filling -----------------------------------------------------------------------------------------------------


def store(database: Database, options: argparse.Namespace) -> Stored:
    _, long_runs = made.submit(database, made.spec(**{**LONG, "steps": options.steps}))
    for run_id in long_runs:
        train(database, run_id)
    compared, compared_runs = made.submit(database, made.spec(**COMPARED))
    for run_id in compared_runs:
        train(database, run_id)
    submit_many(database, options.experiments - 2)
    with database.begin() as session:
        # Of tables that were filled a moment ago the planner knows nothing yet.
        session.execute(text("ANALYZE"))
        values = session.execute(text(_VALUES)).scalar_one() * len(SIGNALS)
        experiments = session.execute(select(func.count()).select_from(Experiment)).scalar_one()
        kept = session.execute(select(Experiment.comparison).where(Experiment.id == compared)).scalar_one()
    if kept is None:
        message = "the comparison was not stored"
        raise RuntimeError(message)
    return Stored(long_runs[0], compared, values, experiments)


_VALUES = "SELECT sum(cardinality(weight_norm)) FROM trace_chunk"


def train(database: Database, run_id: uuid.UUID) -> None:
    lease, plan = made.claim(database, run_id)
    # Drawn from the run's id: seeds with equal values would have no spread, and their comparison little to store.
    signals, curves = made.values(len(plan.network.rows), min(CHUNK_RECORDS, plan.recorded_steps), run_id.int % 2**32)
    made.write(database, lease, plan, made.healthy(signals), curves)
    made.finish(database, lease, plan)


def submit_many(database: Database, count: int) -> None:
    """Two queued runs each; many to a transaction, as it is reading that is measured."""
    spec = made.spec(seeds=[0, 1], labels={"team": "benchmarks"})
    variants = expand(spec)
    for first in range(0, count, 500):
        with database.begin() as session:
            for _ in range(first, min(first + 500, count)):
                runs.submit(session, spec, variants, made.OWNER)


# --- asking ------------------------------------------------------------------------------------------------------


class Asking:
    """One client of the API."""

    def __init__(self, address: str, stored: Stored, steps: int, requests: int) -> None:
        self._http = httpx.Client(base_url=address, timeout=60.0, trust_env=False)
        self._run = f"/v1/runs/{stored.long}"
        self._comparison = f"/v1/experiments/{stored.compared}/comparison"
        self._requests = requests
        self._steps = steps

    def all(self) -> dict[str, dict[str, float]]:
        heat = f"{self._run}/trace?signal=activation_gradient_rms"
        zoom = f"{heat}&from={self._steps // 2}&to={self._steps // 2 + self._steps // 10 - 1}"
        far = self._token_of_page(20)
        paths = {
            "one signal, one layer": f"{heat}&layers=25",
            "heat map, 50 layers": heat,
            "heat map, 50 layers, a tenth": zoom,
            "curves": f"{self._run}/curves",
            "stored comparison, 200 runs × 50 layers": self._comparison,
            "list page": "/v1/experiments",
            "list page, the 20th": f"/v1/experiments?page_token={far}",
            "list page, by label": "/v1/experiments?label=team:benchmarks",
        }
        return {name: self.timed(path) for name, path in paths.items()}

    def window(self, steps: int) -> dict[str, float]:
        """A heat map of the first ``steps`` steps, for a peer that holds so many."""
        return self.timed(f"{self._run}/trace?signal=activation_gradient_rms&from=0&to={steps - 1}&points={POINTS}")

    def timed(self, path: str) -> dict[str, float]:
        body = self._get(path)
        return spread_ms(lambda: self._get(path), self._requests) | {"kilobytes": round(len(body) / 1000, 1)}

    def _get(self, path: str) -> bytes:
        response = self._http.get(path)
        response.raise_for_status()
        return response.content

    def _token_of_page(self, number: int) -> str:
        token = ""
        for _ in range(number - 1):
            token = self._http.get("/v1/experiments", params={"page_token": token}).json()["next_page_token"] or token
        return token


def spread_ms(ask: Callable[[], object], times: int) -> dict[str, float]:
    """p50 and p95, after one request that is not counted."""
    ask()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append(1000.0 * (time.perf_counter() - began))
    return report.spread(taken)


def beside(on: Scratch, asking: Asking, options: argparse.Namespace) -> dict[str, Any] | None:
    """One signal of 50 layers: a history each from MLflow, one heat map from us, of as many steps."""
    if not peers.installed():
        return None
    keys = [f"activation_gradient_rms/hidden.{layer}" for layer in range(LAYERS)]
    with mlflow.running(on) as peer:
        filled = mlflow.fill(peer, keys, options.mlflow_seconds)
        # Each time is 50 calls, one for a layer, beside one call of ours.
        times = max(3, options.requests // 20)
        return {
            "values": filled.values,
            "steps": filled.steps,
            "50 histories, get-history": spread_ms(lambda: [peer.history(filled.run, key) for key in keys], times),
            "50 histories, bulk-interval": spread_ms(
                lambda: [peer.sampled(filled.run, key, POINTS) for key in keys], times
            ),
            "our heat map of as many steps": asking.window(filled.steps),
        }


# --- showing -----------------------------------------------------------------------------------------------------


def show(figures: dict[str, Any]) -> None:
    stored = figures["stored"]
    report.show(
        f"The API with {stored['trace_values']:,} trace values and {stored['experiments']:,} experiments",
        ("", "p50 ms", "p95 ms", "kB"),
        [(name, read["p50"], read["p95"], read["kilobytes"]) for name, read in figures["clinic"].items()],
    )
    peer = figures["mlflow"]
    if peer is not None:
        report.show(
            f"One signal of 50 layers × {peer['steps']:,} steps, MLflow ({peer['values']:,} values stored) and ours",
            ("", "p50 ms", "p95 ms"),
            [(name, read["p50"], read["p95"]) for name, read in peer.items() if isinstance(read, dict)],
        )


if __name__ == "__main__":
    main()
