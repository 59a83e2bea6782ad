"""What is read of a run at its end measures as its whole trace does, whatever is in it and however long it is."""

import tracemalloc
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.verdict.measurements import measure
from gradient_clinic.verdict.shapes import RunFacts
from models.plan import Plan
from models.storage.database import Database
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk, TraceRollup
from models.traces.ending import read_ending
from models.traces.reader import read_run
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block
from tests.models.analysis.synthetic import facts_of
from tests.models.stored import new_run, some_values, write_all, writer_of

EVERY = 3
STEPS = 4_000
RNN: dict[str, Any] = {"kind": "rnn", "cell": "tanh", "width": 4, "layers": 1}


def both(database: Database, run_id: uuid.UUID, plan: Plan, facts: RunFacts) -> tuple[str, str]:
    """What is measured from what is read at the end, and from the whole trace. As text, where NaN equals NaN."""
    with database.begin() as session:
        ending = read_ending(session, run_id, plan, facts)
        whole = read_run(session, run_id, plan)
    return repr(measure(ending, facts)), repr(measure(whole, facts))


def empty(database: Database) -> None:
    with database.begin() as session:
        for table in (TraceChunk, CurveChunk, TraceRollup, CurveRollup):
            session.execute(delete(table))


@pytest.fixture
def long_run(database: Database) -> tuple[uuid.UUID, Plan]:
    return new_run(database, steps=STEPS, trace={"every": EVERY})


@settings(max_examples=30)
@given(
    records=st.integers(1, 1 + (STEPS - 1) // EVERY),
    broken=st.sampled_from([0.0, 1e-5, 1e-3, 0.5]),
    seed=st.integers(0, 999),
    ended=st.sampled_from([("finished", None), ("diverged", None), ("diverged", "nonfinite_steps")]),
    cuts=st.lists(st.integers(1, 1400), max_size=3),
)
@example(records=1334, broken=1e-5, seed=3, ended=("diverged", None), cuts=[])
def test_the_ending_measures_as_the_whole_trace(
    database: Database,
    long_run: tuple[uuid.UUID, Plan],
    records: int,
    broken: float,
    seed: int,
    ended: tuple[str, str | None],
    cuts: list[int],
) -> None:
    run_id, plan = long_run
    empty(database)
    write_all(database, writer_of(run_id, plan), *some_values(3, records, seed, broken=broken), cuts)
    facts = facts_of(plan, outcome=ended[0], stopped_by=ended[1])
    ours, whole = both(database, run_id, plan, facts)
    assert ours == whole


@pytest.mark.parametrize("steps", [0, 1, 300])
def test_a_run_without_rollups_measures_as_its_whole_trace(database: Database, steps: int) -> None:
    run_id, plan = new_run(database, steps=steps)
    write_all(database, writer_of(run_id, plan), *some_values(3, max(steps, 1), seed=1))
    ours, whole = both(database, run_id, plan, facts_of(plan))
    assert ours == whole


def test_the_time_axis_is_read_too(database: Database) -> None:
    run_id, plan = new_run(database, steps=1_000, network=RNN, dataset={"kind": "mnist_5k"})
    write_all(database, writer_of(run_id, plan), *some_values(len(plan.network.rows), 1_000, seed=2, broken=0.0))
    ours, whole = both(database, run_id, plan, facts_of(plan))
    assert ours == whole
    assert "end=(" in ours.split("recurrent=")[1]


def test_a_tenth_of_a_long_run_is_read_and_not_the_rest(database: Database) -> None:
    total = 100_000
    run_id, plan = new_run(database, steps=total)
    writer = writer_of(run_id, plan)
    signals, curves = some_values(3, CHUNK_RECORDS, seed=0, broken=0.0)
    for first in range(0, total, 50 * CHUNK_RECORDS):
        with database.begin() as session:
            starts = range(first, first + 50 * CHUNK_RECORDS, CHUNK_RECORDS)
            writer.write(session, [Block(begin, signals, curves) for begin in starts])
    with database.begin() as session:
        tracemalloc.start()
        ending = read_ending(session, run_id, plan, facts_of(plan))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(ending.steps) == total // 10 + 1 + 10  # the start, ten settled steps, the end
    whole = total * (3 * len(SIGNALS) + len(CURVES)) * 8
    assert most < whole / 4, f"{most:,} bytes at most, the whole trace is {whole:,}"
    np.testing.assert_array_equal(ending.largest_update, signals[SIGNALS.index("update_ratio")].max(axis=1))
