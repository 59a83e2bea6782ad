"""MLflow as a peer: its own server on a database beside ours, and those calls of its HTTP API that are compared."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psycopg

from local.child import Program
from local.folder import Folder
from local.ports import free_port
from local.server import HOST, start
from proofs.clinic import Scratch
from proofs.speed import peers

DATABASE = "mlflow"
BATCH = 1000
"""Metrics in one ``log-batch``: the most that MLflow takes."""


class MlflowServer:
    """As ``mlflow server`` starts by default, but without artifacts and with one worker process: the one client here
    sends one request at a time.
    """

    start_timeout_s = 180.0  # it imports much and migrates its database first

    def __init__(self, folder: Folder, database_url: str) -> None:
        self._folder = folder
        self._database_url = database_url
        self.port = free_port(HOST)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def program(self) -> Program:
        files = self._folder.path / "mlflow"
        files.mkdir(exist_ok=True)
        # MLflow brings psycopg2 and not psycopg.
        store = self._database_url.replace("postgresql://", "postgresql+psycopg2://")
        return Program(
            name="mlflow",
            argv=(
                *(str(peers.PYTHON), "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port)),
                *("--backend-store-uri", store, "--no-serve-artifacts", "--default-artifact-root", str(files)),
                *("--workers", "1"),
            ),
            log=self._folder.log("mlflow"),
            record=self._folder.record("mlflow"),
            environment={
                "PATH": f"{peers.HOME / 'bin'}:/usr/bin:/bin",
                "HOME": str(files),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true",
                # Its jobs are processes of their own, which would take the processor from what is measured.
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            folder=files,
        )

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Mlflow:
    """One client with one connection that is kept, as MLflow's own client has."""

    def __init__(self, address: str, database_url: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=60.0, trust_env=False)
        self._database_url = database_url

    def close(self) -> None:
        self._http.close()

    def new_run(self) -> str:
        name = {"name": f"benchmark-{uuid.uuid4().hex}"}
        experiment = self._post("experiments/create", name)["experiment_id"]
        run: str = self._post("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
        return run

    def log_batch(self, run: str, metrics: Sequence[dict[str, Any]]) -> None:
        self._post("runs/log-batch", {"run_id": run, "metrics": list(metrics)})

    def history(self, run: str, key: str) -> list[dict[str, Any]]:
        """All points of one metric of one run, page by page."""
        query = {"run_id": run, "metric_key": key}
        answer = self._get("api/2.0/mlflow/metrics/get-history", query)
        points: list[dict[str, Any]] = answer["metrics"]
        while token := answer.get("next_page_token"):
            answer = self._get("api/2.0/mlflow/metrics/get-history", query | {"page_token": token})
            points += answer["metrics"]
        return points

    def sampled(self, run: str, key: str, points: int) -> list[dict[str, Any]]:
        """One metric thinned to about so many points: what MLflow's own pages ask for."""
        query = {"run_ids": run, "metric_key": key, "max_results": points}
        answer = self._get("ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", query)
        thinned: list[dict[str, Any]] = answer["metrics"]
        return thinned

    def stored_bytes(self) -> int:
        """Of its two tables of metrics with their indexes."""
        with psycopg.connect(self._database_url) as connection:
            query = "SELECT pg_total_relation_size('metrics') + pg_total_relation_size('latest_metrics')"
            row = connection.execute(query).fetchone()
        return 0 if row is None else int(row[0])

    def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._http.post(f"/api/2.0/mlflow/{what}", json=body))

    def _get(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._http.get(f"/{path}", params=query))

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body


@contextmanager
def running(on: Scratch) -> Iterator[Mlflow]:
    """MLflow's server on a database of its own in the same PostgreSQL."""
    url = f"{on.url.rpartition('/')[0]}/{DATABASE}"
    # PostgreSQL makes no database within a transaction.
    with psycopg.connect(on.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    server = MlflowServer(on.folder, url)
    child = start(server)
    client = Mlflow(server.url, url)
    try:
        yield client
    finally:
        client.close()
        child.stop()


@dataclass(frozen=True, slots=True)
class Filled:
    run: str
    keys: tuple[str, ...]
    steps: int
    values: int
    seconds: float


def fill(mlflow: Mlflow, keys: Sequence[str], seconds: float) -> Filled:
    """Log one run for so many seconds: all ``keys`` at every step, in batches of 1000."""
    run, sent = mlflow.new_run(), 0
    points = _points(keys)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        mlflow.log_batch(run, [next(points) for _ in range(BATCH)])
        sent += BATCH
    return Filled(run, tuple(keys), sent // len(keys), sent, time.perf_counter() - began)


def _points(keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(0)
    step = 0
    while True:
        for key, value in zip(keys, np.exp(random.standard_normal(len(keys))).tolist(), strict=True):
            yield {"key": key, "value": value, "timestamp": 1_700_000_000_000 + step, "step": step}
        step += 1
