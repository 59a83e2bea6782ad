"""``python -m benchmarks.store``: how fast traces go into PostgreSQL, how large they are, how fast they come out.

Values of one worker's connection, through the same code that workers and the API use, into a server of its own.
"""

import argparse
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import select, text

from local import migrations
from local.folder import Folder
from local.postgres import EmbeddedPostgres
from local.server import start
from models import runs
from models.database import Database
from models.plan import expand
from models.recording import CHUNK_RECORDS, Block, TraceWriter
from models.signals import CURVES, SIGNALS
from models.specs.experiment import ExperimentSpec
from models.tables import Run
from models.traces import picture, read_rollup, read_signal

ROOT = Path(__file__).parent.parent
LAYERS = 50
LONG_STEPS = 100_000
CHUNKS_A_WRITE = 5
READS = 40


@contextmanager
def scratch() -> Iterator[Database]:
    """A migrated database on a durable server of its own, as ``make up`` starts it."""
    folder = Folder.temporary(ROOT, ".clinic-bench-")
    child = start(server := EmbeddedPostgres(folder, durable=True))
    try:
        migrations.upgrade(server.url)
        database = Database(server.url)
        yield database
        database.dispose()
    finally:
        child.stop()
        folder.release()


def new_runs(database: Database, count: int) -> list[uuid.UUID]:
    spec = ExperimentSpec.model_validate(
        {
            "name": "store",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": LAYERS, "width": 8},
            "optimizer": {"kind": "sgd"},
            "steps": LONG_STEPS,
            "seeds": {"count": count},
        }
    )
    with database.begin() as session:
        runs.submit(session, spec, expand(spec), "local")
        return list(session.execute(select(Run.id).order_by(Run.position)).scalars())


def write_run(database: Database, run_id: uuid.UUID, steps: int) -> float:
    """Seconds to write one run, a few chunks in a transaction."""
    writer = TraceWriter(run_id, [f"hidden.{index}" for index in range(LAYERS)], 1, steps)
    random = np.random.default_rng(0)
    signals = np.exp(random.standard_normal((len(SIGNALS), LAYERS, CHUNK_RECORDS)))
    curves = np.exp(random.standard_normal((len(CURVES), CHUNK_RECORDS)))
    began = time.perf_counter()
    for first in range(0, steps, CHUNK_RECORDS * CHUNKS_A_WRITE):
        blocks = [
            Block(begin, signals, curves)
            for begin in range(first, min(first + CHUNK_RECORDS * CHUNKS_A_WRITE, steps), CHUNK_RECORDS)
        ]
        with database.begin() as session:
            writer.write(session, blocks)
    return time.perf_counter() - began


def p95_ms(read: Callable[[], object]) -> float:
    read()
    times = []
    for _ in range(READS):
        began = time.perf_counter()
        read()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(times, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help=f"runs of {LONG_STEPS} steps × {LAYERS} layers to write")
    asked = parser.parse_args()
    with scratch() as database:
        result = measure(database, asked.runs)
    for name, value in result.items():
        print(f"{name:40} {value:>14,.2f}")
    (ROOT / "benchmarks" / "results" / "store.json").write_text(json.dumps(result, indent=2) + "\n")


def measure(database: Database, count: int) -> dict[str, float]:
    ids = new_runs(database, count)
    values = count * LONG_STEPS * LAYERS * len(SIGNALS)
    seconds = sum(write_run(database, run_id, LONG_STEPS) for run_id in ids)
    with database.begin() as session:
        session.execute(text("ANALYZE"))
        size = session.execute(text("SELECT pg_total_relation_size('trace_chunk')")).scalar_one()
        rollups = session.execute(text("SELECT pg_total_relation_size('trace_rollup')")).scalar_one()
    every = list(range(1, LAYERS + 1))

    def from_rollup(layers: list[int]) -> object:
        with database.begin() as session:
            return read_rollup(session, ids[-1], "weight_norm", layers, 500)

    def raw(layers: list[int], first: int, last: int) -> object:
        with database.begin() as session:
            return picture(read_signal(session, ids[-1], "weight_norm", layers, first, last), 500)

    return {
        "values written": float(values),
        "values per second": values / seconds,
        "bytes per value (chunks)": size / values,
        "bytes per value (rollups beside them)": rollups / values,
        "p95 ms, one layer, 100,000 steps, rollup": p95_ms(lambda: from_rollup([25])),
        "p95 ms, 50 layers, 100,000 steps, rollup": p95_ms(lambda: from_rollup(every)),
        "p95 ms, one layer, 100,000 steps, raw": p95_ms(lambda: raw([25], 0, LONG_STEPS)),
        "p95 ms, 50 layers, 2,000 steps, raw": p95_ms(lambda: raw(every, 50_000, 51_999)),
    }


if __name__ == "__main__":
    main()
