"""Any stretch of a run in any number of points: against a slow oracle on the raw values, and with nothing lost."""

import itertools
import math
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gradient_clinic.signals import CURVES, SIGNALS, SignalName
from gradient_clinic.values import Array
from models.storage.database import Database
from models.traces.pictures import Signal, draw
from models.traces.reader import Window
from models.traces.rollups import CHUNK_RECORDS, rollup_size
from models.traces.writer import Block
from tests.api.made import claim, run_ids, submit
from tests.models.stored import flushes, some_values, writer_of

LAYERS = 4
SIGNAL: SignalName = "weight_norm"
LONG = 100_000


@dataclass(frozen=True, slots=True)
class Run:
    run_id: str
    every: int
    values: Array
    """(layers, records) of the signal."""
    curves: Array


def stored(client: TestClient, database: Database, *, records: int, every: int, whole: int, seed: int = 0) -> Run:
    """A run that goes on: so many of its ``whole`` records are there."""
    asked = submit(client, steps=whole * every, trace={"every": every}, seeds=[0])
    lease, plan = claim(database, run_ids(database, asked)[0])
    signals, curves = some_values(LAYERS, records, seed, broken=0.01)
    writer = writer_of(lease.run_id, plan)
    for blocks, _ in flushes(signals, curves, [records // 3, records // 2]):
        with database.begin() as session:
            writer.write(session, blocks)
    return Run(str(lease.run_id), every, signals[SIGNALS.index(SIGNAL)].astype(np.float32), curves)


@pytest.fixture
def runs(client: TestClient, database: Database) -> list[Run]:
    """Buckets of 4, of 20 and of 400 records; the last has rollups that lag."""
    return [
        stored(client, database, records=1_750, every=1, whole=2_000),
        stored(client, database, records=8_111, every=7, whole=9_000, seed=1),
        stored(client, database, records=30_333, every=2, whole=150_000, seed=2),
    ]


def oracle(values: Array) -> tuple[list[float | None], ...]:
    """min, max, last and the count of non-finite values, row by row, in plain Python."""
    found: tuple[list[float | None], ...] = ([], [], [], [])
    for row in values.tolist():
        finite = [value for value in row if math.isfinite(value)]
        found[0].append(min(finite, default=None))
        found[1].append(max(finite, default=None))
        found[2].append(row[-1] if math.isfinite(row[-1]) else None)
        found[3].append(len(row) - len(finite))
    return found


def assert_true(steps: list[list[int]], shown: dict[str, list[list[float | None]]], values: Array, every: int) -> None:
    """Every bucket holds what the records of its steps hold. ``values``: (rows, records) of the whole run."""
    for at, (first, last) in enumerate(steps):
        assert first % every == last % every == 0
        truth = oracle(values[:, first // every : last // every + 1])
        for name, expected in zip(("min", "max", "last", "nonfinite"), truth, strict=True):
            # JSON has the shortest decimals that are this number in the precision of the column.
            found = [None if row[at] is None else float(values.dtype.type(row[at])) for row in shown[name]]
            assert found == expected, (name, first, last)


@settings(max_examples=60)
@example(which=0, ends=(0.9375, 1.0), points=1, layers={1})  # it begins behind what the rollups hold
@given(
    which=st.integers(0, 2),
    ends=st.tuples(st.floats(0, 1.1), st.floats(0, 1.1)),
    points=st.sampled_from([1, 2, 3, 10, 77, 500, 5_000]),
    layers=st.sets(st.integers(1, LAYERS), min_size=1),
)
def test_a_window_says_what_its_records_say(
    client: TestClient,
    runs: list[Run],
    which: int,
    ends: tuple[float, float],
    points: int,
    layers: set[int],
) -> None:
    run = runs[which]
    records = run.values.shape[1]
    first, last = sorted(int(end * records * run.every) for end in ends)
    asked: dict[str, Any] = {"from": first, "to": last, "points": points}
    begin, end = -(-first // run.every), min(last // run.every + 1, records)
    assume(begin < end)

    chosen = sorted(layers)
    params = asked | {"signal": SIGNAL, "layers": ",".join(map(str, chosen))}
    trace = client.get(f"/v1/runs/{run.run_id}/trace", params=params).json()
    assert_covers(trace["steps"], begin, end, run.every, points)
    assert_true(trace["steps"], trace, run.values[[layer - 1 for layer in chosen]], run.every)
    assert trace["raw"] == all(one == other for one, other in trace["steps"])

    answer = client.get(f"/v1/runs/{run.run_id}/curves", params=asked).json()
    assert_covers(answer["steps"], begin, end, run.every, points)
    shown = {name: [answer["curves"][curve][name] for curve in CURVES] for name in ("min", "max", "last", "nonfinite")}
    assert_true(answer["steps"], shown, run.curves, run.every)


def assert_covers(steps: list[list[int]], begin: int, end: int, every: int, points: int) -> None:
    """Records ``begin`` … ``end`` − 1, each once, in order, in at most so many buckets."""
    assert 0 < len(steps) <= points
    assert (steps[0][0], steps[-1][1]) == (begin * every, (end - 1) * every)
    assert all(before[1] + every == after[0] for before, after in itertools.pairwise(steps))


# --- a spike -----------------------------------------------------------------------------------------------------


@pytest.fixture
def spiked(client: TestClient, database: Database) -> tuple[str, int]:
    """100,000 steps of ones; in one of them layer 2 has a spike, layer 3 a NaN, and the loss both of a sort."""
    at = 77_777
    asked = submit(client, steps=LONG, seeds=[0])
    lease, plan = claim(database, run_ids(database, asked)[0])
    writer = writer_of(lease.run_id, plan)
    for first in range(0, LONG, 20 * CHUNK_RECORDS):
        blocks = []
        for begin in range(first, first + 20 * CHUNK_RECORDS, CHUNK_RECORDS):
            signals = np.ones((len(SIGNALS), LAYERS, CHUNK_RECORDS))
            signals[SIGNALS.index("nonfinite_count")] = 0.0
            curves = np.ones((len(CURVES), CHUNK_RECORDS))
            if begin <= at < begin + CHUNK_RECORDS:
                signals[SIGNALS.index(SIGNAL), 1, at - begin] = 1e9
                signals[SIGNALS.index(SIGNAL), 2, at - begin] = np.nan
                signals[SIGNALS.index("activation_gradient_rms"), 2, at - begin] = np.nan
                curves[CURVES.index("gradient_norm"), at - begin] = 1e9
            blocks.append(Block(begin, signals, curves))
        with database.begin() as session:
            writer.write(session, blocks)
    return str(lease.run_id), at


def test_a_spike_of_one_step_and_a_nan_of_one_layer_are_seen_in_every_window_at_every_number_of_points(
    client: TestClient, spiked: tuple[str, int]
) -> None:
    run_id, at = spiked
    windows = [(0, LONG), (at, at), (at - 1, at), (at, LONG), (0, at), (at - 30_000, at + 11), (at - 99, at + 20_001)]
    for first, last in windows:
        for points in (1, 2, 3, 7, 50, 499, 500, 501, 3_000, 5_000):
            params: dict[str, Any] = {"from": first, "to": last, "points": points, "signal": SIGNAL}
            trace = client.get(f"/v1/runs/{run_id}/trace", params=params).json()
            (bucket,) = [i for i, (begin, end) in enumerate(trace["steps"]) if begin <= at <= end]
            assert len(trace["steps"]) <= points
            assert [row[bucket] for row in trace["max"]] == [1.0, 1e9, trace["max"][2][bucket], 1.0]
            assert [row[bucket] for row in trace["nonfinite"]] == [0, 0, 1, 0]
            assert [sum(row) for row in trace["nonfinite"]] == [0, 0, 1, 0]
            assert trace["first_nonfinite"] == {"step": at, "layer": "hidden.2", "where": "backward"}
            params.pop("signal")
            answer = client.get(f"/v1/runs/{run_id}/curves", params=params).json()
            (bucket,) = [i for i, (begin, end) in enumerate(answer["steps"]) if begin <= at <= end]
            assert answer["curves"]["gradient_norm"]["max"][bucket] == 1e9
            assert answer["first_nonfinite"]["step"] == at


class Counting(Signal):
    """Adds up how many raw values it was asked for."""

    read = 0

    def raw(self, first: int, last: int) -> Window:
        window = super().raw(first, last)
        Counting.read += window.values.size
        return window


def test_a_long_window_reads_no_more_raw_values_than_its_two_ends(database: Database, spiked: tuple[str, int]) -> None:
    run_id, at = spiked
    Counting.read = 0
    with database.snapshot() as session:
        source = Counting(session, uuid.UUID(run_id), SIGNAL, range(1, LAYERS + 1))
        draw(source, 1_234, at, 500)
    assert 0 < Counting.read <= 2 * LAYERS * rollup_size(LONG)
