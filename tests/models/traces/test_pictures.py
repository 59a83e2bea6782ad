"""Traces on real PostgreSQL: every value returns bit for bit, however it was cut into writes."""

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from gradient_clinic.signals import CURVES, SIGNALS
from models import runs
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import TraceChunk
from models.traces import pictures, reader
from models.traces.buckets import Buckets
from models.traces.rollups import CHUNK_RECORDS, rollup_size
from models.traces.writer import Block, TraceWriter

LAYERS = ("hidden.0", "hidden.1", "output")


@pytest.fixture
def run_id(database: Database) -> uuid.UUID:
    spec = ExperimentSpec.model_validate(
        {
            "name": "trace",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 3, "width": 4},
            "optimizer": {"kind": "sgd"},
            "steps": 10,
            "seeds": [0],
        }
    )
    with database.begin() as session:
        runs.submit(session, spec, expand(spec), owner="local")
        return session.execute(select(Run.id)).scalar_one()


def block(first: int, records: int, seed: int = 0, *, untrained: bool = False) -> Block:
    """Random values that float32 holds exactly, some of them not finite."""
    random = np.random.default_rng(seed + first)
    signals = random.standard_normal((len(SIGNALS), len(LAYERS), records)).astype(np.float32).astype(np.float64)
    signals[random.random(signals.shape) < 0.1] = np.nan
    signals[random.random(signals.shape) < 0.05] = -np.inf
    return Block(first, signals, random.standard_normal((len(CURVES), records)), untrained)


def write(database: Database, writer: TraceWriter, *blocks: Block, ended: bool = False) -> None:
    with database.begin() as session:
        writer.write(session, blocks, ended=ended)


def test_values_return_bit_for_bit(database: Database, run_id: uuid.UUID) -> None:
    written = block(0, 7)
    write(database, TraceWriter(run_id, LAYERS, 3, 7), written)
    with database.begin() as session:
        for index, signal in enumerate(SIGNALS):
            window = reader.read_signal(session, run_id, signal, [1, 2, 3], 0, 100)
            np.testing.assert_array_equal(window.values, written.signals[index])
            np.testing.assert_array_equal(window.steps, 3 * np.arange(7))
        curves = reader.read_curves(session, run_id, CURVES, 0, 100)
        np.testing.assert_array_equal(curves.values, written.curves)


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, 449), max_size=4, unique=True))
def test_any_cutting_into_writes_reads_as_one_trace(database: Database, run_id: uuid.UUID, cuts: list[int]) -> None:
    total, seed = 450, len(cuts)
    whole = [block(first, min(CHUNK_RECORDS, total - first), seed) for first in range(0, total, CHUNK_RECORDS)]
    writer = TraceWriter(run_id, LAYERS, 1, 1000)
    for upto in [*sorted(cuts), total]:
        grown = [
            Block(b.first, b.signals[..., : upto - b.first], b.curves[..., : upto - b.first])
            for b in whole
            if b.first < upto
        ]
        write(database, writer, *grown)
    with database.begin() as session:
        window = reader.read_signal(session, run_id, "weight_norm", [1, 2, 3], 0, total)
        raw = np.concatenate([b.signals[SIGNALS.index("weight_norm")] for b in whole], axis=-1)
        np.testing.assert_array_equal(window.values, raw)
        sealed = session.execute(select(TraceChunk.chunk, TraceChunk.sealed).where(TraceChunk.layer_index == 1))
        assert sorted(map(tuple, sealed)) == [(0, True), (1, True), (2, False)]


def test_a_window_holds_its_steps_and_no_others(database: Database, run_id: uuid.UUID) -> None:
    write(database, TraceWriter(run_id, LAYERS, 5, 450), *(block(first, 200) for first in (0, 200)), block(400, 50))
    with database.begin() as session:
        window = reader.read_signal(session, run_id, "weight_norm", [2], 998, 1011)
        np.testing.assert_array_equal(window.steps, [1000, 1005, 1010])
        expected = block(200, 200).signals[SIGNALS.index("weight_norm"), 1, 0:3]
        np.testing.assert_array_equal(window.values, [expected])


@pytest.mark.parametrize("total", [600, 1_300, 30_000])
def test_rollups_are_exact_against_the_raw_values(database: Database, run_id: uuid.UUID, total: int) -> None:
    writer = TraceWriter(run_id, LAYERS, 2, total)
    blocks = [block(first, min(CHUNK_RECORDS, total - first)) for first in range(0, total, CHUNK_RECORDS)]
    for start in range(0, len(blocks), 7):
        write(database, writer, *blocks[start : start + 7], ended=start + 7 >= len(blocks))
    size = rollup_size(total)
    with database.begin() as session:
        stored = pictures.read_rollup(session, run_id, "weight_norm", [1, 2, 3], 500)
        window = reader.read_signal(session, run_id, "weight_norm", [1, 2, 3], 0, 2 * total)
    assert stored is not None
    raw = pictures.Picture(pictures._ranges(window.steps, size), Buckets.of(window.values, size), raw=False)  # noqa: SLF001 -- the oracle cuts at the stored size
    np.testing.assert_array_equal(stored.steps, raw.steps)
    for ours, expected in zip(stored.buckets.arrays, raw.buckets.arrays, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert len(stored.steps) <= 500


def test_a_spike_of_one_step_is_seen_at_every_thinning(database: Database, run_id: uuid.UUID) -> None:
    total, spike_at = 100_000, 77_777
    writer = TraceWriter(run_id, LAYERS, 1, total)
    flat = np.ones((len(SIGNALS), len(LAYERS), CHUNK_RECORDS))
    for first in range(0, total, CHUNK_RECORDS * 50):
        blocks = []
        for begin in range(first, first + CHUNK_RECORDS * 50, CHUNK_RECORDS):
            signals = flat.copy()
            if begin <= spike_at < begin + CHUNK_RECORDS:
                signals[SIGNALS.index("weight_norm"), 1, spike_at - begin] = 1e9
                signals[SIGNALS.index("weight_norm"), 2, spike_at - begin] = np.nan
            blocks.append(Block(begin, signals, np.ones((len(CURVES), CHUNK_RECORDS))))
        write(database, writer, *blocks)
    with database.begin() as session:
        for points in (1, 7, 100, 500):
            picture = pictures.read_rollup(session, run_id, "weight_norm", [2, 3], points)
            assert picture is not None
            assert len(picture.steps) <= points
            bucket = int(np.argmax(picture.buckets.maximum[0]))
            assert picture.buckets.maximum[0, bucket] == np.float32(1e9)
            assert picture.steps[bucket, 0] <= spike_at <= picture.steps[bucket, 1]
            assert picture.buckets.nonfinite[1].sum() == 1


def test_psql_reads_the_view_without_our_code(database: Database, run_id: uuid.UUID) -> None:
    written = block(0, 4)
    write(database, TraceWriter(run_id, LAYERS, 10, 4), written)
    with database.begin() as session:
        rows = session.execute(
            text("SELECT layer_index, layer, step, weight_norm FROM layer_trace WHERE run_id = :run ORDER BY 1, 3"),
            {"run": run_id},
        ).all()
    assert [(row.layer_index, row.layer, row.step) for row in rows[:5]] == [
        *((1, "hidden.0", step) for step in (0, 10, 20, 30)),
        (2, "hidden.1", 0),
    ]
    expected = written.signals[SIGNALS.index("weight_norm")].reshape(-1)
    np.testing.assert_array_equal(np.array([row.weight_norm for row in rows], np.float32), expected)


def test_an_untrained_record_has_a_null_update_ratio(database: Database, run_id: uuid.UUID) -> None:
    write(database, TraceWriter(run_id, LAYERS, 1, 1), block(0, 1, untrained=True))
    with database.begin() as session:
        nulls = session.execute(text("SELECT count(*) FROM layer_trace WHERE update_ratio IS NULL")).scalar_one()
        assert nulls == len(LAYERS)
        assert np.isnan(reader.read_signal(session, run_id, "update_ratio", [1, 2, 3], 0, 0).values).all()


def test_deleting_the_experiment_deletes_its_trace(database: Database, run_id: uuid.UUID) -> None:
    write(database, TraceWriter(run_id, LAYERS, 1, 4), block(0, 4))
    with database.begin() as session:
        runs.remove(session, session.execute(select(Run.experiment_id)).scalar_one())
    with database.begin() as session:
        for table in ("trace_chunk", "curve_chunk", "run", "attempt", "experiment"):
            assert session.execute(select(func.count()).select_from(text(table))).scalar_one() == 0
