"""``python -m proofs.speed.store``: how fast traces go into PostgreSQL, and how large they are there.

One worker's connection into a durable server of its own, through the code that workers use: the ``TraceWriter`` alone,
and the whole ``Recorder`` from step records on. Beside them MLflow's server and a table with a row per point, each
filled for a bounded time into the same server. Also what writing a chunk again costs, as after a lost answer.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import text

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from models.storage.database import Database
from models.traces.rollups import CHUNK_RECORDS
from proofs.clinic import Scratch, scratch
from proofs.speed import made, mlflow, peers, report, rows
from worker.recorder import Recorder

LAYERS = 50
REPLAYS = 9
SPEC = {
    "name": "store",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": LAYERS, "width": 8},
    "optimizer": {"kind": "sgd"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help=f"records × {LAYERS} layers × 9 signals to write")
    parser.add_argument("--recorder-steps", type=int, default=10_000)
    parser.add_argument("--row-seconds", type=float, default=10.0)
    parser.add_argument("--mlflow-seconds", type=float, default=60.0)
    options = parser.parse_args()
    with scratch() as on:
        figures = measure(on, options)
    report.save("store", {"experiment": SPEC, **vars(options)}, figures)
    show(figures, options)


def measure(on: Scratch, options: argparse.Namespace) -> dict[str, Any]:
    writer = through_the_writer(on.database, options.steps)
    recorder = through_the_recorder(on.database, options.recorder_steps)
    replay = replayed(on.database)
    # After ours: its rows fill the server's caches, and its checkpoints write for a while after it.
    by_row = rows.fill(on.url, SIGNALS, LAYERS, options.row_seconds)
    figures: dict[str, Any] = {
        "writer": writer,
        "recorder": recorder,
        "replay": replay,
        "row_per_point": _filled(by_row.values, by_row.seconds, by_row.bytes),
        "mlflow": None,
    }
    if peers.installed():
        with mlflow.running(on) as peer:
            keys = [f"{signal}/hidden.{layer}" for layer in range(LAYERS) for signal in SIGNALS]
            done = mlflow.fill(peer, keys, options.mlflow_seconds)
            figures["mlflow"] = _filled(done.values, done.seconds, peer.stored_bytes())
    return figures


def _filled(values: int, seconds: float, size: int) -> dict[str, float]:
    return {
        "values": values,
        "seconds": round(seconds, 2),
        "values_per_second": round(values / seconds),
        "bytes_per_value": round(size / values, 2),
    }


def through_the_writer(database: Database, steps: int) -> dict[str, float]:
    """Five chunks to a transaction. The values are ready: turning them into rows is timed, and the commits."""
    _, [run_id] = made.submit(database, made.spec(**SPEC, steps=steps))
    lease, plan = made.claim(database, run_id)
    signals, curves = made.values(LAYERS, CHUNK_RECORDS, seed=report.SEED)
    began = time.perf_counter()
    made.write(database, lease, plan, signals, curves)
    seconds = time.perf_counter() - began
    values = steps * LAYERS * len(SIGNALS)
    chunks, rollups = (_size(database, table) for table in ("trace_chunk", "trace_rollup"))
    return _filled(values, seconds, chunks) | {"rollup_bytes_per_value": round(rollups / values, 2)}


def _size(database: Database, table: str) -> int:
    with database.begin() as session:
        size: int = session.execute(text(f"SELECT pg_total_relation_size('{table}')")).scalar_one()
    return size


def through_the_recorder(database: Database, steps: int) -> dict[str, float]:
    """From one ``StepRecord`` after another, as the engine yields them, to the last commit."""
    _, [run_id] = made.submit(database, made.spec(**SPEC, steps=steps))
    lease, plan = made.claim(database, run_id)
    recorder = Recorder(database, lease, made.LEASE_S, plan)
    # Made before the clock runs: training would make them beside the recorder.
    seen = records(steps)
    began = time.perf_counter()
    for record in seen:
        recorder.add(record)
    recorder.flush(steps - 1)
    seconds = time.perf_counter() - began
    values = steps * LAYERS * len(SIGNALS)
    return {"values": values, "seconds": round(seconds, 2), "values_per_second": round(values / seconds)}


def records(steps: int) -> list[StepRecord]:
    signals, curves = made.values(LAYERS, CHUNK_RECORDS, seed=report.SEED)
    names = tuple(f"hidden.{layer}" for layer in range(LAYERS))
    return [
        _record(step, names, signals[..., step % CHUNK_RECORDS], curves[:, step % CHUNK_RECORDS])
        for step in range(steps)
    ]


def _record(step: int, names: tuple[str, ...], signals: made.Doubles, curves: made.Doubles) -> StepRecord:
    # As the probe's are: a strided column would be slower to store than any real record.
    of_layers: dict[str, Any] = dict(zip(SIGNALS, np.ascontiguousarray(signals), strict=True))
    of_step: dict[str, Any] = dict(zip(CURVES, curves.tolist(), strict=True))
    return StepRecord(step, names, **of_layers, **of_step)


def replayed(database: Database) -> dict[str, float]:
    """Median time of a full write of five chunks, and of the same write again, which replaces them."""
    steps = CHUNK_RECORDS * made.CHUNKS_A_WRITE
    signals, curves = made.values(LAYERS, CHUNK_RECORDS, seed=report.SEED)
    # A run for each: a third write of one run would find what the second had left to be vacuumed.
    firsts, again = list[float](), list[float]()
    for _ in range(REPLAYS):
        _, [run_id] = made.submit(database, made.spec(**SPEC, steps=steps))
        lease, plan = made.claim(database, run_id)
        # The second write is of the same blocks: it deletes and copies, as after an answer that was lost.
        for times in (firsts, again):
            began = time.perf_counter()
            made.write(database, lease, plan, signals, curves)
            times.append(1000.0 * (time.perf_counter() - began))
    first, second = report.spread(firsts)["p50"], report.spread(again)["p50"]
    return {"first_ms": first, "again_ms": second, "ratio": round(second / first, 2)}


def show(figures: dict[str, Any], options: argparse.Namespace) -> None:
    report.show(
        f"Writing traces: {LAYERS} layers × {len(SIGNALS)} signals, one connection, commits wait for the disk",
        ("", "values", "seconds", "values/s", "bytes/value"),
        list(_lines(figures, options)),
    )
    replay = figures["replay"]
    print(f"five chunks again after a lost answer: {replay['again_ms']:.0f} ms, {replay['ratio']:.2f}× the first time")
    print(f"rollups beside the chunks: {figures['writer']['rollup_bytes_per_value']:.2f} bytes per value")


def _lines(figures: dict[str, Any], options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    named = {
        "TraceWriter": figures["writer"],
        "Recorder, from step records": figures["recorder"],
        f"a row per point, COPY, {options.row_seconds:.0f} s": figures["row_per_point"],
        f"MLflow's server, log-batch of 1000, {options.mlflow_seconds:.0f} s": figures["mlflow"],
    }
    for name, way in named.items():
        if way is not None:
            yield name, way["values"], way["seconds"], way["values_per_second"], way.get("bytes_per_value")


if __name__ == "__main__":
    main()
