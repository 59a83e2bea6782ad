"""Retention on real PostgreSQL: what is old and rolled up goes, in batches, and everything made of it stays."""

import uuid
from typing import Literal

import numpy as np
import pytest
from sqlalchemy import func, select, update

from gradient_clinic.signals import CURVES, SIGNALS, SignalName
from gradient_clinic.values import Array
from models import runs
from models.runs import Lease, retention
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk, TraceRollup
from models.traces.nonfinite import first_broken
from models.traces.pictures import Curves, Picture, Signal, draw
from tests.models.stored import flushes, new_run, some_values, write_all, writer_of

RECORDS = 1_300
DAYS = 30.0
KEPT = 2**31 - 1


def ended(
    database: Database, *, days_ago: float = 31.0, steps: int = RECORDS, records: int | None = None, whole: bool = True
) -> tuple[Lease, Array]:
    """A failed run that ended so long ago, and its weight norms; not ``whole``: it ended without its last flush."""
    run_id, plan = new_run(database, steps=steps)
    with database.begin() as session:
        claim = runs.claim(session, run_id, "host:1", 60.0)
    assert claim is not None
    signals, curves = some_values(3, steps if records is None else records, seed=0)
    writer = writer_of(run_id, plan)
    for blocks, last in flushes(signals, curves, [450]):
        with database.begin() as session:
            writer.write(session, blocks, ended=last and whole)
    with database.begin() as session:
        assert runs.fail(session, claim.lease, {"detail": "as asked"})
        session.execute(
            update(Run).where(Run.id == run_id).values(ended_at=Run.ended_at - runs.seconds(86_400 * days_ago))
        )
    return claim.lease, signals[SIGNALS.index("weight_norm")]


def drop_all(database: Database, batch_rows: int = retention.BATCH_ROWS) -> list[int]:
    """How many rows each batch deleted."""
    batches = []
    while True:
        with database.begin() as session:
            batches.append(retention.drop_raw(session, DAYS, batch_rows))
        if not batches[-1]:
            return batches[:-1]


def chunks(database: Database, run_id: uuid.UUID) -> tuple[int, int]:
    with database.begin() as session:
        trace, curve = (
            session.execute(select(func.count()).select_from(table).where(table.run_id == run_id)).scalar_one()
            for table in (TraceChunk, CurveChunk)
        )
        return trace, curve


def drawn(database: Database, run_id: uuid.UUID, first: int, last: int, points: int = 500) -> Picture:
    with database.snapshot() as session:
        return draw(Signal(session, run_id, "weight_norm", [1, 2, 3]), first, last, points, kept=False)


def test_what_is_older_goes_and_its_rollups_stay(database: Database) -> None:
    old, _ = ended(database)
    young, _ = ended(database, days_ago=29.0)
    with database.begin() as session:
        before = session.execute(select(func.count()).select_from(TraceRollup)).scalar_one()
    assert drop_all(database) == [7 * 3, 7]
    assert (chunks(database, old.run_id), chunks(database, young.run_id)) == ((0, 0), (21, 7))
    with database.begin() as session:
        assert session.execute(select(func.count()).select_from(TraceRollup)).scalar_one() == before
        assert session.execute(select(func.count()).select_from(CurveRollup)).scalar_one() > 0
        assert session.get_one(Run, old.run_id).raw_dropped_at is not None
        assert session.get_one(Run, young.run_id).raw_dropped_at is None


def test_a_run_without_rollups_keeps_its_values(database: Database) -> None:
    lease, _ = ended(database, steps=500)
    assert drop_all(database) == []
    assert chunks(database, lease.run_id) == (9, 3)
    with database.begin() as session:
        assert session.get_one(Run, lease.run_id).raw_dropped_at is None


def test_a_run_that_goes_on_keeps_its_values_however_long_it_takes(database: Database) -> None:
    lease, _ = ended(database)
    with database.begin() as session:
        runs.retry(session, lease.experiment_id)
        session.execute(update(Run).values(ended_at=func.clock_timestamp() - runs.seconds(86_400 * 99)))
    assert drop_all(database) == []


def test_batches_are_bounded_and_the_run_is_marked_with_the_first(database: Database) -> None:
    lease, _ = ended(database)
    with database.begin() as session:
        assert retention.drop_raw(session, DAYS, 5) == 5
        marked = session.get_one(Run, lease.run_id).raw_dropped_at
    assert marked is not None
    # Whatever stands in the middle, the picture is of the rollups alone.
    assert drawn(database, lease.run_id, 0, KEPT).buckets.records.sum() == RECORDS
    assert drop_all(database, 5) == [5, 5, 5, 1, 5, 2]
    with database.begin() as session:
        assert session.get_one(Run, lease.run_id).raw_dropped_at == marked


def test_two_dispatchers_take_two_runs(database: Database) -> None:
    leases = [ended(database)[0] for _ in range(2)]
    with database.begin() as one, database.begin() as other:
        assert retention.drop_raw(one, DAYS) == retention.drop_raw(other, DAYS) == 21
        assert retention.drop_raw(other, DAYS) == 7
    assert sorted(chunks(database, lease.run_id) for lease in leases) == [(0, 0), (0, 7)]
    assert drop_all(database) == [7]


@pytest.mark.parametrize("window", [(0, KEPT), (301, 302), (299, 900), (1_299, 1_299), (0, 0)])
@pytest.mark.parametrize("points", [1, 7, 500])
def test_a_window_is_widened_to_the_borders_of_its_buckets_and_says_so(
    database: Database, window: tuple[int, int], points: int
) -> None:
    lease, values = ended(database)
    drop_all(database)
    picture = drawn(database, lease.run_id, *window, points)
    size = 4
    begin, end = window[0] // size * size, min(-(-(window[1] + 1) // size) * size, RECORDS)
    assert (picture.steps[0, 0], picture.steps[-1, 1]) == (begin, end - 1)
    assert len(picture.steps) <= points
    for (first, last), low, high, newest in zip(
        picture.steps, picture.buckets.minimum.T, picture.buckets.maximum.T, picture.buckets.last.T, strict=True
    ):
        inside = np.where(np.isfinite(values), values, np.nan)[:, first : last + 1]
        np.testing.assert_array_equal(low, np.nanmin(inside, axis=1))
        np.testing.assert_array_equal(high, np.nanmax(inside, axis=1))
        np.testing.assert_array_equal(newest, values[:, last])


def test_what_no_rollup_had_taken_in_is_kept_and_shown(database: Database) -> None:
    lease, values = ended(database, steps=60_000, records=11_150, whole=False)
    with database.begin() as session:
        query = select(func.sum(CurveRollup.records)).where(CurveRollup.curve == "loss")
        rolled = session.execute(query).scalar_one()
    assert 0 < rolled < 11_150
    drop_all(database)
    left = -(-(11_150 - rolled) // 200)
    assert chunks(database, lease.run_id) == (3 * left, left)
    picture = drawn(database, lease.run_id, 0, KEPT)
    assert picture.buckets.records.sum() == 11_150
    np.testing.assert_array_equal(picture.buckets.last[:, -1], values[:, -1])
    with database.snapshot() as session:
        curves = draw(Curves(session, lease.run_id, CURVES), 0, KEPT, 500, kept=False)
    assert curves.buckets.records.sum() == 11_150


def test_a_new_attempt_has_values_again(database: Database) -> None:
    lease, _ = ended(database)
    drop_all(database)
    with database.begin() as session:
        runs.retry(session, lease.experiment_id)
    with database.begin() as session:
        assert runs.claim(session, lease.run_id, "host:2", 60.0) is not None
    with database.begin() as session:
        assert session.get_one(Run, lease.run_id).raw_dropped_at is None
        assert session.execute(select(func.count()).select_from(CurveRollup)).scalar_one() == 0


@pytest.mark.parametrize(
    ("signal", "where"), [("activation_rms", "forward"), ("activation_gradient_rms", "backward"), ("loss", "forward")]
)
def test_of_a_run_without_a_verdict_the_bucket_of_the_first_non_finite_place_is_known(
    database: Database, signal: SignalName | Literal["loss"], where: str
) -> None:
    run_id, plan = new_run(database, steps=RECORDS)
    signals, curves = some_values(3, RECORDS, seed=0, broken=0.0)
    if signal == "loss":
        curves[CURVES.index("loss"), 702:] = np.nan
    else:
        signals[SIGNALS.index(signal), 1, 702:] = np.inf
    write_all(database, writer_of(run_id, plan), signals, curves)
    layer = "output" if signal == "loss" else "hidden.1"
    with database.begin() as session:
        place = first_broken(session, run_id, plan)
        assert place is not None
        assert (place.step, place.layer, place.where) == (702, layer, where)
        session.execute(update(Run).values(state="failed", ended_at=func.clock_timestamp() - runs.seconds(1e7)))
    drop_all(database)
    with database.begin() as session:
        place = first_broken(session, run_id, plan, kept=False)
    assert place is not None
    assert (place.step, place.layer, place.where) == (700, layer, where)
