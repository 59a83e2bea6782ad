"""Rollups against the raw values that are stored beside them: at any moment, however they came to be written."""

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models.plan import Plan
from models.storage.database import Database
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk, TraceRollup
from models.traces.buckets import Buckets
from models.traces.pictures import Curves, Picture, Signal, Source, draw
from models.traces.reader import read_block
from models.traces.rollups import CHUNK_RECORDS, RAW_VALUES, Fold, Rollups, rollup_size
from models.traces.writer import Block
from tests.models.stored import flushes, new_run, some_values, write_all, writer_of

STEPS = 2_600
TABLES = (TraceChunk, CurveChunk, TraceRollup, CurveRollup)
QUIET = settings(max_examples=25)


@pytest.fixture
def made(database: Database) -> tuple[uuid.UUID, Plan]:
    return new_run(database, steps=STEPS, trace={"every": 2})


def empty(database: Database) -> None:
    with database.begin() as session:
        for table in TABLES:
            session.execute(delete(table))


def rows(database: Database) -> list[tuple[object, ...]]:
    """All that is stored, in order; arrays as text, where NaN equals NaN."""
    with database.begin() as session:
        return [
            tuple(str(value) for value in row)
            for table in TABLES
            for row in session.execute(select(table.__table__).order_by(*table.__table__.primary_key))
        ]


def sources(database: Database, run_id: uuid.UUID) -> tuple[Picture, Picture]:
    """All of a run, from rollups and what they lack."""
    with database.snapshot() as session:
        every: list[Source] = [Signal(session, run_id, "weight_norm", [1, 2, 3]), Curves(session, run_id, CURVES)]
        signal, curves = (draw(source, 0, 2**31 - 1, 500) for source in every)
        return signal, curves


def assert_shows(picture: Picture, values: Array) -> None:
    """Each bucket says what the records that its steps name hold."""
    starts = picture.steps[:, 0]
    truth = Buckets.beginning_at(values, starts)
    np.testing.assert_array_equal(picture.steps[1:, 0], picture.steps[:-1, 1] + 1)
    for ours, expected in zip(picture.buckets.arrays, truth.arrays, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    for name in ("minimum", "maximum", "last", "nonfinite", "records"):
        np.testing.assert_array_equal(getattr(picture.buckets, name), getattr(truth, name))


@QUIET
@given(cuts=st.lists(st.integers(1, 1_299), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_at_any_moment_of_a_run_its_picture_is_that_of_what_is_stored(
    database: Database, cuts: list[int], seed: int
) -> None:
    run_id, plan = new_run(database, steps=1_300)
    signals, curves = some_values(3, 1_300, seed, broken=0.02)
    writer, upto = writer_of(run_id, plan), 0
    for blocks, ended in flushes(signals, curves, cuts):
        with database.begin() as session:
            writer.write(session, blocks, ended=ended)
        upto = blocks[-1].first + blocks[-1].records
        for_signal, for_curves = sources(database, run_id)
        assert_shows(for_signal, signals[SIGNALS.index("weight_norm"), :, :upto])
        assert_shows(for_curves, curves[:, :upto])


@QUIET
@given(cuts=st.lists(st.integers(1, 1_299), max_size=8), records=st.integers(501, 1_300), seed=st.integers(0, 99))
def test_what_is_stored_in_the_end_does_not_depend_on_when_it_was_written(
    database: Database, made: tuple[uuid.UUID, Plan], cuts: list[int], records: int, seed: int
) -> None:
    run_id, plan = made
    values = some_values(3, records, seed)
    stored = []
    for its in ([], cuts):
        empty(database)
        write_all(database, writer_of(run_id, plan), *values, its)
        stored.append(rows(database))
    assert stored[0] == stored[1]


@pytest.mark.parametrize("records", [150, 11_150, 30_000])
def test_the_rollups_of_a_run_that_has_ended_hold_all_of_it(database: Database, records: int) -> None:
    run_id, plan = new_run(database, steps=30_000)
    write_all(database, writer_of(run_id, plan), *some_values(3, records, seed=0), [records // 2])
    with database.begin() as session:
        for held, where in (
            (TraceRollup.records, (TraceRollup.signal == "weight_norm") & (TraceRollup.layer_index == 2)),
            (CurveRollup.records, CurveRollup.curve == "loss"),
        ):
            assert session.execute(select(func.sum(held)).where(where)).scalar_one() == records


@pytest.mark.parametrize("expected", [501, 1_300, 30_000, 150_000])
def test_every_fold_of_a_run_is_exact_and_holds_one_part_only(expected: int) -> None:
    random = np.random.default_rng(0)
    fold, held = Fold(rollup_size(expected)), 0
    parts: dict[int, Buckets] = {}
    chunks = [random.standard_normal((2, CHUNK_RECORDS)) for _ in range(-(-expected // CHUNK_RECORDS))]
    for chunk in chunks:
        fold = fold.after(chunk)
        parts[fold.part] = fold.buckets()
        held = max(held, len(fold.complete))
    values = np.concatenate(chunks, axis=-1)
    at = 0
    for its in parts.values():
        truth = Buckets.of(values[:, at : at + int(its.records.sum())], fold.size)
        at += int(its.records.sum())
        for ours, expected_array in zip(its.arrays, truth.arrays, strict=True):
            np.testing.assert_allclose(ours, expected_array, rtol=1e-9, atol=1e-12)
    assert at == values.shape[-1]
    assert held <= 100
    assert sum(len(its.records) for its in parts.values()) <= 512


def test_a_number_beyond_float32_is_infinite_in_rollups_as_in_chunks(
    database: Database, made: tuple[uuid.UUID, Plan]
) -> None:
    run_id, plan = made
    signals, curves = some_values(3, 1_300, seed=0, broken=0.0)
    signals[SIGNALS.index("weight_norm"), 1, 700] = 1e300
    write_all(database, writer_of(run_id, plan), signals, curves)
    with database.begin() as session:
        counted = session.execute(
            select(TraceRollup.layer_index, TraceRollup.maximum, TraceRollup.nonfinite).where(
                TraceRollup.signal == "weight_norm"
            )
        ).all()
    assert sum(sum(row.nonfinite) for row in counted if row.layer_index == 2) == 1
    assert max(max(row.maximum) for row in counted) < 1e6


def test_a_flush_that_is_repeated_changes_nothing(database: Database, made: tuple[uuid.UUID, Plan]) -> None:
    run_id, plan = made
    signals, curves = some_values(3, 1_300, seed=1)
    write_all(database, writer_of(run_id, plan), signals, curves, [450, 900])
    once = rows(database)
    empty(database)
    writer = writer_of(run_id, plan)
    for blocks, ended in flushes(signals, curves, [450, 900]):
        for _ in range(2):
            with database.begin() as session:
                writer.write(session, blocks, ended=ended)
    assert rows(database) == once


def test_a_flush_that_was_rolled_back_can_be_made_again(database: Database, made: tuple[uuid.UUID, Plan]) -> None:
    run_id, plan = made
    signals, curves = some_values(3, 1_300, seed=2)
    write_all(database, writer_of(run_id, plan), signals, curves, [450, 900])
    once = rows(database)
    empty(database)
    writer = writer_of(run_id, plan)
    for blocks, ended in flushes(signals, curves, [450, 900]):
        with database.begin() as session:
            writer.write(session, blocks, ended=ended)
            session.rollback()
        with database.begin() as session:
            writer.write(session, blocks, ended=ended)
    assert rows(database) == once


def test_records_that_are_missing_are_refused(database: Database, made: tuple[uuid.UUID, Plan]) -> None:
    run_id, plan = made
    signals, curves = some_values(3, CHUNK_RECORDS, seed=0)
    writer = writer_of(run_id, plan)
    with database.begin() as session, pytest.raises(ValueError, match="records are missing"):
        writer.write(session, [Block(2 * CHUNK_RECORDS, signals, curves)])


def test_rollups_lag_by_a_bounded_number_of_values_and_are_seldom_rewritten(database: Database) -> None:
    total, layers = 40_000, 3
    run_id, plan = new_run(database, steps=25 * total)
    writer = writer_of(run_id, plan)
    signals, curves = some_values(layers, CHUNK_RECORDS, seed=0)
    written, before = 0, -1
    for first in range(0, total, CHUNK_RECORDS):
        with database.begin() as session:
            writer.write(session, [Block(first, signals, curves)])
        with database.begin() as session:
            query = select(func.sum(CurveRollup.records)).where(CurveRollup.curve == "loss")
            rolled = session.execute(query).scalar() or 0
        assert (first + CHUNK_RECORDS - rolled) * max(layers, len(CURVES)) <= RAW_VALUES + len(CURVES) * CHUNK_RECORDS
        written, before = written + (rolled != before), rolled
    assert written < total / CHUNK_RECORDS / 5


def test_a_writer_holds_no_more_after_a_long_run_than_after_a_short_one() -> None:
    fold = Fold(rollup_size(10_000_000))
    values = np.ones((4, CHUNK_RECORDS))
    for _ in range(fold.part_chunks * 2 + 150):
        fold = fold.after(values)
    held = [*fold.complete, fold.running]
    assert len(held) == 2
    assert sum(its.minimum.size for its in held if its is not None) == 2 * 4


@pytest.mark.parametrize(("records", "at"), [(900, 400), (4_700, 1_400), (4_700, 1_600), (4_700, 4_600)])
def test_a_writer_that_goes_on_behind_what_is_stored_ends_with_the_same_rollups(
    database: Database, records: int, at: int
) -> None:
    run_id, plan = new_run(database, steps=records)
    signals, curves = some_values(3, records, seed=3, broken=0.02)
    write_all(database, writer_of(run_id, plan), signals, curves)
    whole = rows(database)
    empty(database)
    write_all(database, writer_of(run_id, plan), signals[..., :at], curves[:, :at], [at - 300])
    forget_rollups_beyond(database, at)
    writer = writer_of(run_id, plan)
    with database.begin() as session:
        writer.go_on(at, lambda chunk: read_block(session, run_id, chunk, 3, 1))
    for blocks, ended in flushes(signals, curves, [at, at + 90]):
        with database.begin() as session:
            writer.write(session, [block for block in blocks if block.first >= at], ended=ended)
    assert rows(database) == whole


def test_a_bucket_of_several_chunks_goes_on_in_the_middle() -> None:
    values = some_values(1, 2_000, seed=4)[1]
    whole = Fold(600)
    for chunk in range(10):
        whole = whole.after(values[:, 200 * chunk : 200 * chunk + 200])
    rollups = Rollups(uuid.uuid4(), 1, 1, 300_000)
    rollups.go_on(10, lambda chunk: values[:, 200 * chunk : 200 * chunk + 200])
    assert (rollups._now.chunks, rollups._now.stored, rollups._now.size) == (10, 0, 600)  # noqa: SLF001 -- what it goes on from
    for ours, expected in zip(rollups._now.buckets().arrays, whole.buckets().arrays, strict=True):  # noqa: SLF001
        np.testing.assert_array_equal(ours, expected)


def forget_rollups_beyond(database: Database, at: int) -> None:
    """As a claim does."""
    with database.begin() as session:
        for table in (TraceRollup, CurveRollup):
            session.execute(delete(table).where(table.first_step + table.records * table.stride > at))
