"""``python -m proofs.speed.rest``: what the API holds when it has answered many requests of all kinds.

An API process as ``make up`` starts it, on a database with one finished experiment of 50 layers × 2,000 steps. Clients
ask at once, in an order drawn from the seed: submissions, estimates and predictions of networks that all differ,
comparisons, reports, traces in every format, lists. Its resident memory is read from /proc (Linux) after every round.
"""

import argparse
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx
import numpy as np
import psutil

from gradient_clinic.signals import SIGNALS
from models.storage.database import Database
from proofs.clinic import clinic, scratch
from proofs.speed import made, report
from proofs.speed.memory import memory_of
from proofs.speed.reads import train

CLIENTS: Final = 8
ROUND: Final = 100
STEPS: Final = 2_000
FORMATS: Final = (
    "application/json",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)
WARM_UP: Final = 0.25
"""The share of the rounds after which growth is counted."""


@dataclass(frozen=True, slots=True)
class Stored:
    experiment: str
    run: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6_000)
    asked: int = parser.parse_args().requests
    with scratch() as on:
        stored = store(on.database)
        with clinic(on, "api") as running:
            held = list(loaded(running.address, stored, asked))
    figures = told(held)
    report.save("rest", {"requests": asked, "clients": CLIENTS, "seed": report.SEED}, figures)
    show(figures)


def store(database: Database) -> Stored:
    experiment, runs = made.submit(database, made.spec(steps=STEPS, remedies=[{"kind": "batch_norm"}]))
    for run in runs:
        train(database, run)
    return Stored(str(experiment), str(runs[0]))


def loaded(address: str, stored: Stored, count: int) -> Iterator[tuple[int, float]]:
    """(requests answered, megabytes held) from before the first one on."""
    process = serving(int(address.rpartition(":")[2]))
    yield 0, megabytes(process)
    numbers = itertools.count()
    with ThreadPoolExecutor(CLIENTS) as clients, httpx.Client(base_url=address, timeout=120.0, trust_env=False) as http:
        for done in range(ROUND, count + 1, ROUND):
            # Drawn by number and not by client, so that the same requests are made whatever the threads do.
            list(clients.map(lambda at: ask(http, stored, random.Random(at)), itertools.islice(numbers, ROUND)))  # noqa: S311 -- no secret
            yield done, megabytes(process)


def serving(port: int) -> int:
    """The process that listens there."""
    for listener in psutil.net_connections("tcp4"):
        if listener.status == psutil.CONN_LISTEN and listener.laddr.port == port and listener.pid is not None:
            return int(listener.pid)
    message = "whose process the API is cannot be seen"
    raise RuntimeError(message)


def megabytes(pid: int) -> float:
    held = memory_of(pid)
    if held is None:
        message = "the API has ended"
        raise RuntimeError(message)
    return held.now_mb


def ask(http: httpx.Client, stored: Stored, draw: random.Random) -> None:
    """One request; whatever is answered is read to its end."""
    run, trial = f"/v1/runs/{stored.run}", f"/v1/experiments/{stored.experiment}"
    signal = draw.choice(SIGNALS)
    match draw.randrange(9):
        case 0:
            answer = http.post("/v1/experiments", json=spec(draw))
        case 1:
            answer = http.post("/v1/experiments/validate", json=spec(draw))
        case 2:
            answer = http.post("/v1/predictions", json={"network": network(draw), "batch_size": draw.randint(2, 512)})
        case 3:
            answer = http.get(f"{trial}/comparison")
        case 4:
            answer = http.get(f"{trial}/report", headers={"Accept": draw.choice(("text/html", "application/json"))})
        case 5:
            answer = http.get(f"{run}/trace?signal={signal}", headers={"Accept": draw.choice(FORMATS)})
        case 6:
            answer = http.get(f"{run}/curves?points={draw.randint(2, 500)}")
        case 7:
            answer = http.get(f"/v1/experiments?page_size={draw.randint(1, 100)}")
        case _:
            answer = http.get(draw.choice((f"{run}/diagnosis", run, trial, "/v1/catalogue/remedies", "/metrics")))
    # A refusal is an answer: some of the drawn networks are more than theory follows.
    if answer.is_server_error:
        message = f"{answer.request.url}: {answer.status_code}"
        raise RuntimeError(message)


def network(draw: random.Random) -> dict[str, Any]:
    """Never the same, deep ones among them."""
    kind = draw.choice(("mlp", "hidden", "residual_mlp", "transformer", "cnn"))
    width, activation = draw.randint(8, 300), draw.choice(("tanh", "relu", "gelu", "silu"))
    networks: dict[str, dict[str, Any]] = {
        "mlp": {"kind": "mlp", "depth": draw.randint(2, 600), "width": width, "activation": activation},
        "hidden": {"kind": "mlp", "hidden": [draw.randint(8, 300) for _ in range(draw.randint(2, 80))]},
        "residual_mlp": {"kind": "residual_mlp", "blocks": draw.randint(1, 60), "width": width},
        "transformer": {"kind": "transformer", "blocks": draw.randint(1, 5), "width": 4 * draw.randint(4, 30)},
        "cnn": {"kind": "cnn", "channels": [draw.randint(4, 64)], "layers_per_stage": draw.randint(1, 20)},
    }
    return networks[kind]


def spec(draw: random.Random) -> dict[str, Any]:
    remedies = draw.sample(["batch_norm", "layer_norm", "orthogonal_init", "residual"], draw.randint(0, 2))
    return {
        "name": f"rest {draw.randrange(10**9)}",
        "dataset": {"kind": "digits"},
        "network": network(draw),
        "optimizer": {"kind": "adam"},
        "steps": 20,
        "remedies": [{"kind": kind} for kind in remedies],
        # Labels and names never repeat: a cache that keeps what was asked would grow with them.
        "labels": {"drawn": str(draw.randrange(10**9))},
    }


def told(held: Sequence[tuple[int, float]]) -> dict[str, Any]:
    settled = held[int(WARM_UP * len(held)) :]
    slope = float(np.polyfit([done for done, _ in settled], [mb for _, mb in settled], 1)[0])
    return {
        "mb_at_first": round(held[0][1], 1),
        "mb_at_last": round(held[-1][1], 1),
        "mb_per_1000_requests": round(1e3 * slope, 2),
        "samples": held,
    }


def show(figures: Mapping[str, Any]) -> None:
    rows = [(name, value) for name, value in figures.items() if name != "samples"]
    report.show("The API's resident memory under requests of all kinds", ("", "MB"), rows)


if __name__ == "__main__":
    main()
