"""The usual table of metrics, a row per point, as a peer: filled by COPY, which is the fastest way there is."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psycopg

TABLE = """
CREATE TABLE point (
    run_id uuid, signal text, layer text, step integer, value double precision,
    PRIMARY KEY (run_id, signal, layer, step)
)
"""
STEPS_A_WRITE = 200
Point = tuple[uuid.UUID, str, str, int, float]


@dataclass(frozen=True, slots=True)
class Filled:
    values: int
    seconds: float
    bytes: int


def fill(url: str, signals: tuple[str, ...], layers: int, seconds: float) -> Filled:
    """Writes for so many seconds as a worker would: 200 steps of all signals and layers in each transaction."""
    values, run_id = 0, uuid.uuid4()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            # Steps go on from write to write, as they are in the key.
            first = values // (len(signals) * layers)
            with connection.transaction():
                values += _copy(connection, _points(run_id, signals, layers, first))
        taken = time.perf_counter() - began
        row = connection.execute("SELECT pg_total_relation_size('point')").fetchone()
        # What follows is measured in the same server, and must not share its caches and its disk with this.
        connection.execute("DROP TABLE point")
    return Filled(values, taken, 0 if row is None else int(row[0]))


def _copy(connection: psycopg.Connection, points: Iterator[Point]) -> int:
    count = 0
    with connection.cursor() as cursor, cursor.copy("COPY point FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["uuid", "text", "text", "int4", "float8"])
        for point in points:
            copy.write_row(point)
            count += 1
    return count


def _points(run_id: uuid.UUID, signals: tuple[str, ...], layers: int, first: int) -> Iterator[Point]:
    values = np.exp(np.random.default_rng(first).standard_normal((len(signals), layers, STEPS_A_WRITE)))
    for signal, layers_of_signal in zip(signals, values, strict=True):
        for layer, row in enumerate(layers_of_signal):
            name = f"hidden.{layer}"
            for step, value in enumerate(row.tolist(), start=first):
                yield run_id, signal, name, step, value
