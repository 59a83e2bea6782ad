"""A run that loses its worker goes on from its checkpoint, on real PostgreSQL, and leaves what it would have left."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import SecretStr
from sqlalchemy import func, select, text, update

from models import runs
from models.plan import expand
from models.runs import Claim, queueing
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage import checkpoints
from models.storage.checkpoints import Name
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import CurveChunk, CurveRollup, EpochValue, TraceChunk, TraceRollup
from tests.as_json import as_json
from tests.spares import Spares
from tests.worker.trials import CPU
from worker.attempt import Workshop
from worker.checkpoints import Keeper, packed, unpacked
from worker.recorder import LeaseLostError, Recorder
from worker.results import Snapshot, StateRefusedError

LEASE_S = 60.0
STEPS = 620
AT_EVERY_BORDER = 1e-9
# Another takes the lease as soon as the chunk from record 400 on is whole, however often it was written before.
TAKEN_AT = """
CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN UPDATE run SET lease_token = gen_random_uuid() WHERE id = NEW.run_id; RETURN NULL; END $$;
CREATE TRIGGER take AFTER INSERT ON curve_chunk
FOR EACH ROW WHEN (NEW.first_step >= 400 AND NEW.sealed) EXECUTE FUNCTION take();
"""
# Whoever begins at step 0 beside what is left of an earlier attempt is refused.
ALONE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM curve_chunk WHERE run_id = NEW.run_id AND chunk > 0) THEN RAISE 'not alone'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON curve_chunk FOR EACH ROW WHEN (NEW.chunk = 0) EXECUTE FUNCTION refuse();
"""
SPEC: dict[str, Any] = {
    "name": "long",
    "dataset": {"kind": "digits", "validation_fraction": 0.1},
    "network": {"kind": "mlp", "depth": 2, "width": 6, "dropout": 0.2},
    "optimizer": {"kind": "adam", "learning_rate": 0.003},
    "variants": [
        {
            "name": "treated",
            "remedies": [{"kind": "batch_norm"}, {"kind": "ema_clip"}, {"kind": "warm_up", "steps": 500}],
        }
    ],
    "batch_size": 16,
    "steps": STEPS,
    "seeds": [5],
}
TIMES = {"run_id", "step_seconds"}
TABLES = (TraceChunk, CurveChunk, TraceRollup, CurveRollup, EpochValue)


@contextmanager
def opened(database_url: str, folder: Path) -> Iterator[Workshop]:
    settings = Settings(
        database_url=SecretStr(database_url), lease_s=LEASE_S, data_dir=folder, checkpoint_s=AT_EVERY_BORDER
    )
    workshop = Workshop.open(settings, gpu=False)
    yield workshop
    workshop.close()


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    with opened(database_url, tmp_path) as workshop:
        yield workshop


def submitted(database: Database, **changes: Any) -> uuid.UUID:
    spec = ExperimentSpec.model_validate({**SPEC, **changes})
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, expand(spec), owner="local")
        query = select(Run.id).where(Run.experiment_id == experiment_id, Run.variant == "treated")
        return session.execute(query).scalar_one()


def row(database: Database, run_id: uuid.UUID) -> Run:
    with database.begin() as session:
        return session.get_one(Run, run_id)


def left(database: Database, run_id: uuid.UUID) -> dict[str, list[tuple[str, ...]]]:
    """All rows of a run but its times; arrays as text, which is exact."""
    found = {}
    with database.begin() as session:
        for table in TABLES:
            columns = [column for column in table.__table__.columns if column.name not in TIMES]
            query = select(*columns).where(table.run_id == run_id).order_by(*table.__table__.primary_key)
            rows = [tuple(map(str, its)) for its in session.execute(query)]
            found[table.__tablename__] = [its for its in rows if its[0] not in TIMES]
    assert all(found.values())
    return found


def learned(database: Database, run_id: uuid.UUID) -> dict[str, Any]:
    """The summary but its times."""
    summary = row(database, run_id).summary
    assert summary is not None
    found: dict[str, Any] = as_json(summary)
    for name in ("step_seconds", "device_seconds", "overhead", "peak_memory_bytes"):
        del found["facts"][name]
    return found


def lose(database: Database, workshop: Workshop, run_id: uuid.UUID) -> None:
    """An attempt that ends between steps 400 and 600, its checkpoint at step 400 being the newest."""
    with database.begin() as session:
        session.execute(text(TAKEN_AT))
    workshop.carry_out(run_id)
    with database.begin() as session:
        session.execute(text("DROP TRIGGER take ON curve_chunk; DROP FUNCTION take"))
        assert queueing.reap_worker(session, run_id, workshop.name, max_attempts=5) == 1
    lost = row(database, run_id)
    assert (lost.state, lost.checkpoint_step) == ("queued", 400)


def first_times(database: Database, run_id: uuid.UUID) -> list[float]:
    """How long the first 200 steps took: no two trainings of them say the same."""
    with database.begin() as session:
        query = select(CurveChunk.step_seconds).where(CurveChunk.run_id == run_id, CurveChunk.chunk == 0)
        return session.execute(query).scalar_one() or []


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What one attempt leaves; all attempts leave the same, so one serves all tests."""

    left: dict[str, list[tuple[str, ...]]]
    learned: dict[str, Any]

    def assert_as(self, database: Database, run_id: uuid.UUID) -> None:
        assert (row(database, run_id).state, row(database, run_id).error) == ("succeeded", None)
        assert left(database, run_id) == self.left
        assert learned(database, run_id) == self.learned


@pytest.fixture(scope="module")
def undisturbed(spare_databases: Spares, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    with spare_databases.one() as url, opened(url, tmp_path_factory.mktemp("undisturbed")) as workshop:
        database = Database(url)
        run_id = submitted(database)
        workshop.carry_out(run_id)
        assert (row(database, run_id).state, row(database, run_id).attempt) == ("succeeded", 1)
        yield Undisturbed(left(database, run_id), learned(database, run_id))
        database.dispose()


def test_a_lost_run_goes_on_from_its_checkpoint_and_leaves_what_an_undisturbed_one_does(
    database: Database, workshop: Workshop, undisturbed: Undisturbed
) -> None:
    run_id = submitted(database)
    lose(database, workshop, run_id)
    times = first_times(database, run_id)
    workshop.carry_out(run_id)
    assert first_times(database, run_id) == times
    undisturbed.assert_as(database, run_id)


@pytest.mark.parametrize("how", ["missing", "of another network"])
def test_without_its_state_a_run_begins_at_step_0_and_leaves_the_same(
    database: Database, workshop: Workshop, undisturbed: Undisturbed, how: str
) -> None:
    run_id = submitted(database)
    lose(database, workshop, run_id)
    times = first_times(database, run_id)
    path = row(database, run_id).checkpoint_path
    assert path is not None
    if how == "missing":
        workshop.files.remove(path)
    else:
        state = unpacked(workshop.files.read(path), CPU)
        name = Name.of(path)
        assert name is not None
        workshop.files.write(name, packed({**state, "model": {}}, CPU))
    with database.begin() as session:
        session.execute(text(ALONE))
    workshop.carry_out(run_id)
    assert first_times(database, run_id) != times
    undisturbed.assert_as(database, run_id)


def test_storage_that_is_away_costs_the_checkpoints_and_not_the_run(
    database: Database, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "files").write_text("no folder")
    run_id = submitted(database)
    workshop.carry_out(run_id)
    assert (row(database, run_id).state, row(database, run_id).checkpoint_step) == ("succeeded", None)


def test_a_run_that_is_shorter_than_the_interval_keeps_no_state(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    for checkpoint_s in (0.0, 1_000.0):
        settings = Settings(database_url=SecretStr(database_url), data_dir=tmp_path, checkpoint_s=checkpoint_s)
        workshop = Workshop.open(settings, gpu=False)
        workshop.carry_out(submitted(database, steps=450))
        workshop.close()
    with database.begin() as session:
        assert session.execute(select(func.count(Run.checkpoint_step))).scalar_one() == 0
    assert not (tmp_path / "files").exists()


def test_a_newer_file_takes_the_place_of_an_older_one_and_the_end_of_all(
    database: Database, workshop: Workshop
) -> None:
    run_id = submitted(database)
    lose(database, workshop, run_id)
    assert steps_of_files(workshop) == [(1, 400), (1, 600)]  # it could not name the second one any more
    workshop.carry_out(run_id)
    assert steps_of_files(workshop) == [(1, 600), (2, 600)]
    assert checkpoints.collect(database, workshop.files) == 2
    assert steps_of_files(workshop) == []


def steps_of_files(workshop: Workshop) -> list[tuple[int, int]]:
    return sorted((name.attempt, name.step) for name in workshop.files.names())


def test_a_worker_that_has_lost_its_lease_changes_no_checkpoint(database: Database, workshop: Workshop) -> None:
    run_id = submitted(database)
    lose(database, workshop, run_id)
    before = row(database, run_id)
    with database.begin() as session:
        claim = runs.claim(session, run_id, "zombie", LEASE_S)
        session.execute(update(Run).values(lease_token=uuid.uuid4()))
    assert claim is not None
    with pytest.raises(LeaseLostError):
        keeper_of(database, workshop, claim).keep(Snapshot(600, 0, {}))
    after = row(database, run_id)
    assert (after.checkpoint_step, after.checkpoint_path) == (400, before.checkpoint_path)
    assert steps_of_files(workshop) == [(1, 400), (1, 600), (2, 600)]
    with database.begin() as session:
        session.execute(update(Run).values(attempt=Run.attempt + 1))  # the one that has the run now
    assert checkpoints.collect(database, workshop.files) == 2
    assert steps_of_files(workshop) == [(1, 400)]


def keeper_of(database: Database, workshop: Workshop, claim: Claim, every_s: float = AT_EVERY_BORDER) -> Keeper:
    plan = expand(claim.spec)[-1].plan
    first = 0 if claim.checkpoint is None else claim.checkpoint.step
    recorder = Recorder(database, claim.lease, LEASE_S, plan, first)
    return Keeper(workshop.files, recorder, CPU, every_s, claim.checkpoint)


def test_a_state_is_wanted_where_a_chunk_begins_and_not_where_the_attempt_does(
    database: Database, workshop: Workshop
) -> None:
    run_id = submitted(database, trace={"every": 3})
    with database.begin() as session:
        claim = runs.claim(session, run_id, "host:1", LEASE_S)
    assert claim is not None
    keeper = keeper_of(database, workshop, claim)
    assert [step for step in range(1_300) if keeper.due(step)] == [600, 1_200]
    assert not any(map(keeper_of(database, workshop, claim, 0.0).due, range(1_300)))
    keeper.keep(Snapshot(600, 0, {}))
    assert [step for step in range(1_300) if keeper.due(step)] == [1_200]


def test_a_state_that_a_file_cannot_vouch_for_is_refused() -> None:
    state = {"step": 200, "weights": torch.arange(3.0)}
    file = packed(state, CPU)
    assert unpacked(file, CPU)["weights"].tolist() == [0.0, 1.0, 2.0]
    for strange in (b"", b"\n", b"[]\n", file[:40], file[:-1], file + b"\0"):
        with pytest.raises(StateRefusedError):
            unpacked(strange, CPU)
    head, content = file.split(b"\n", 1)
    for change in ({"torch": "0.4.1"}, {"device": "cpu of another kind"}, {"threads": 64}):
        told = json.loads(head)
        told["made_by"].update(change)
        with pytest.raises(StateRefusedError):
            unpacked(json.dumps(told).encode() + b"\n" + content, CPU)
