"""Migrations on databases with data in them: up, and down again."""

import uuid

import numpy as np
import pytest
from alembic import command
from sqlalchemy import inspect, select, text

from gradient_clinic.signals import CURVES
from gradient_clinic.values import Array
from local import migrations
from models.runs.events import news
from models.runs.progress import progress_of
from models.status import State
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import CurveRollup
from models.traces.buckets import Buckets
from models.traces.pictures import Curves, draw
from tests.models.stored import new_run, some_values, write_all, writer_of

RECORDS = 1_300


@pytest.fixture
def old(database: Database) -> tuple[uuid.UUID, Array]:
    """A database as it was before rollups of curves, with a long run and a short one; the long one's curves."""
    short, plan = new_run(database, steps=300)
    write_all(database, writer_of(short, plan), *some_values(3, 300, seed=1))
    run_id, plan = new_run(database, steps=2 * RECORDS, trace={"every": 2})
    signals, curves = some_values(3, RECORDS, seed=0, broken=0.3)
    write_all(database, writer_of(run_id, plan), signals, curves, [333])
    command.downgrade(migrations._config(database.url), "0002")  # noqa: SLF001 -- nobody else goes down
    return run_id, curves


def test_curves_that_were_stored_before_get_rollups(database: Database, old: tuple[uuid.UUID, Array]) -> None:
    run_id, curves = old
    migrations.upgrade(database.url)
    with database.begin() as session:
        found = session.execute(select(CurveRollup).order_by(CurveRollup.part)).scalars().all()
        for row, curve in enumerate(CURVES):
            parts = [its for its in found if its.curve == curve]
            assert {its.run_id for its in parts} == {run_id}
            truth = Buckets.of(curves[row], 4)
            for name in ("minimum", "mean", "maximum", "last", "nonfinite"):
                stored = np.concatenate([getattr(its, name) for its in parts])
                np.testing.assert_allclose(stored, getattr(truth, name), rtol=1e-12)
            assert [its.records for its in parts] == [200] * 6 + [100]
            assert [its.first_step for its in parts] == [400 * part for part in range(7)]
    with database.snapshot() as session:
        picture = draw(Curves(session, run_id, CURVES), 0, 2**31 - 1, 100)
    assert picture.buckets.records.sum() == RECORDS
    np.testing.assert_array_equal(picture.buckets.last[:, -1], curves[:, -1])


def test_what_was_stored_before_is_told_as_it_is(database: Database, old: tuple[uuid.UUID, Array]) -> None:
    with database.begin() as session:
        session.execute(
            text("UPDATE run SET state = 'succeeded', outcome = 'finished' WHERE id = :run"), {"run": old[0]}
        )
    migrations.upgrade(database.url)
    with database.begin() as session:
        for experiment_id, run_id, state in session.execute(select(Run.experiment_id, Run.id, Run.state)).all():
            found = news(session, experiment_id, 0, 10)
            assert found is not None
            run, experiment = found.events
            assert (run.data["run_id"], run.data["state"]) == (str(run_id), state)
            assert set(run.data) == {
                "run_id", "variant", "seed", "state", "outcome", "attempt", "reason"
            }  # fmt: skip
            done = progress_of(session, [experiment_id])[experiment_id]
            told = {"state": found.state, "progress": done.share, "runs": dict.fromkeys(State, 0) | dict(done.counts)}
            assert experiment.data == told


def test_going_down_leaves_what_was_there_before(database: Database, old: tuple[uuid.UUID, Array]) -> None:
    tables = inspect(database.engine).get_table_names()
    assert "curve_rollup" not in tables
    assert "trace_rollup" in tables
    assert "newest_of" not in {its["name"] for its in inspect(database.engine).get_columns("event")}
    assert not {"trace_every", "raw_dropped_at"} & {its["name"] for its in inspect(database.engine).get_columns("run")}
    with database.begin() as session:
        rows = session.execute(text("SELECT count(*) FROM curve_chunk WHERE run_id = :run"), {"run": old[0]})
        assert rows.scalar_one() == 7
