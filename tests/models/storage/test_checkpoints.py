"""Which files are kept, and what a claim leaves of a trace: up to the checkpoint, and nothing beyond."""

import os
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models import runs
from models.runs import Checkpoint, Claim, Lease
from models.status import State
from models.storage import checkpoints
from models.storage.checkpoints import STRANGE_S, CheckpointFiles, Name
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import CurveChunk, CurveRollup, EpochValue, TraceChunk, TraceRollup
from models.traces.writer import write_epoch
from tests.models.stored import flushes, new_run, some_values, writer_of

LEASE_S = 60.0
EVERY = 2
RECORDS = 4_700
"""Rollup buckets of 10 records, 400 records to a part."""
STEPS = EVERY * RECORDS


@pytest.fixture
def files(tmp_path: Path) -> CheckpointFiles:
    return CheckpointFiles(tmp_path.as_uri())


@pytest.fixture
def run_id(database: Database) -> uuid.UUID:
    return new_run(database, steps=STEPS, trace={"every": EVERY})[0]


def claimed(database: Database, run_id: uuid.UUID) -> Claim:
    with database.begin() as session:
        claim = runs.claim(session, run_id, "host:1", LEASE_S)
    assert claim is not None
    return claim


def checkpointed(database: Database, lease: Lease, step: int, epochs: int = 1) -> Checkpoint:
    checkpoint = Checkpoint(step, epochs, str(Name(lease.run_id, lease.attempt, step)))
    with database.begin() as session:
        assert runs.keep_checkpoint(session, lease, checkpoint)
    return checkpoint


def given_back(database: Database, lease: Lease) -> None:
    with database.begin() as session:
        assert runs.give_back(session, lease, "lease lost")


def trained(database: Database, run_id: uuid.UUID, upto: int) -> None:
    """So many records and three epochs are stored."""
    plan = new_run(database, steps=STEPS, trace={"every": EVERY})[1]
    writer = writer_of(run_id, plan)
    for blocks, _ in flushes(*some_values(3, upto, seed=0), [2_300]):
        with database.begin() as session:
            writer.write(session, blocks)
    with database.begin() as session:
        for epoch in range(3):
            write_epoch(session, run_id, epoch, 1.0, 0.5)


def reached(database: Database) -> tuple[int, int, int, int, int]:
    """Steps that the chunks and the rollups reach, of signals and of curves, and epochs."""
    chunks = (TraceChunk.first_step + TraceChunk.stride * func.cardinality(TraceChunk.weight_norm), TraceChunk.run_id)
    curves = (CurveChunk.first_step + CurveChunk.stride * func.cardinality(CurveChunk.loss), CurveChunk.run_id)
    rolled = [(its.first_step + its.stride * its.records, its.run_id) for its in (TraceRollup, CurveRollup)]
    with database.begin() as session:
        ends = [session.execute(select(func.max(end))).scalar() or 0 for end, _ in (chunks, curves, *rolled)]
        epochs = session.execute(select(func.count()).select_from(EpochValue)).scalar_one()
    return ends[0], ends[1], ends[2], ends[3], epochs


def test_a_claim_keeps_the_trace_up_to_the_checkpoint_and_nothing_beyond(database: Database, run_id: uuid.UUID) -> None:
    lease = claimed(database, run_id).lease
    trained(database, run_id, 2_350)
    checkpoint = checkpointed(database, lease, EVERY * 1_400, epochs=2)
    assert reached(database) == (EVERY * 2_350, EVERY * 2_350, EVERY * 2_000, EVERY * 2_000, 3)
    given_back(database, lease)
    assert claimed(database, run_id).checkpoint == checkpoint
    assert reached(database) == (EVERY * 1_400, EVERY * 1_400, EVERY * 1_200, EVERY * 1_200, 2)
    with database.begin() as session:
        assert session.get_one(Run, run_id).step == checkpoint.step


def test_starting_over_forgets_the_checkpoint_and_all_that_is_stored(database: Database, run_id: uuid.UUID) -> None:
    lease = claimed(database, run_id).lease
    trained(database, run_id, 2_350)
    checkpointed(database, lease, EVERY * 1_400)
    stale = Lease(lease.run_id, lease.experiment_id, uuid.uuid4(), lease.attempt)
    with database.begin() as session:
        assert not runs.start_over(session, stale)
    assert reached(database)[0] == EVERY * 2_350
    with database.begin() as session:
        assert runs.start_over(session, lease)
    assert reached(database) == (0, 0, 0, 0, 0)
    given_back(database, lease)
    assert claimed(database, run_id).checkpoint is None


def test_a_void_lease_notes_no_checkpoint(database: Database, run_id: uuid.UUID) -> None:
    lease = claimed(database, run_id).lease
    given_back(database, lease)
    with database.begin() as session:
        assert not runs.keep_checkpoint(session, lease, Checkpoint(400, 0, "late"))
    assert claimed(database, run_id).checkpoint is None


def test_a_retry_of_a_failed_run_begins_at_step_0(database: Database, run_id: uuid.UUID) -> None:
    lease = claimed(database, run_id).lease
    trained(database, run_id, 2_350)
    checkpointed(database, lease, EVERY * 1_400)
    with database.begin() as session:
        assert runs.fail(session, lease, {"detail": "out of memory"})
        assert runs.retry(session, lease.experiment_id) == 1
    assert claimed(database, run_id).checkpoint is None
    assert reached(database) == (0, 0, 0, 0, 0)


def test_a_file_comes_back_as_it_was_written_and_no_draft_is_left(files: CheckpointFiles, run_id: uuid.UUID) -> None:
    name = Name(run_id, 2, 400)
    files.write(name, b"state")
    assert files.read(str(name)) == b"state"
    assert files.names() == [name]
    files.remove(str(name))
    files.remove(str(name))
    assert files.names() == []
    with pytest.raises(FileNotFoundError):
        files.read(str(name))


def test_of_a_running_run_its_checkpoint_stays_and_what_it_writes_now(
    database: Database, files: CheckpointFiles, run_id: uuid.UUID
) -> None:
    given_back(database, claimed(database, run_id).lease)
    checkpointed(database, claimed(database, run_id).lease, 800)
    kept = [Name(run_id, 2, 800), Name(run_id, 2, 1_200), Name(run_id, 2, 1_600, draft=True)]
    useless = [Name(run_id, 1, 400), Name(run_id, 1, 1_600), Name(run_id, 2, 400), Name(run_id, 2, 400, draft=True)]
    assert left(database, files, [*kept, *useless]) == {str(name) for name in kept}


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_of_a_run_that_has_ended_nothing_stays(
    database: Database, files: CheckpointFiles, run_id: uuid.UUID, state: State
) -> None:
    checkpointed(database, claimed(database, run_id).lease, 800)
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == run_id).values(state=state))
    assert left(database, files, [Name(run_id, 1, 800), Name(run_id, 1, 1_200, draft=True)]) == set()


def test_files_of_runs_that_were_deleted_go_when_they_are_old(
    database: Database, files: CheckpointFiles, tmp_path: Path
) -> None:
    young, old = Name(uuid.uuid4(), 1, 400), Name(uuid.uuid4(), 1, 400)
    for name in (young, old):
        files.write(name, b"")
    then = time.time() - STRANGE_S - 1.0
    os.utime(tmp_path / "checkpoints" / str(old), (then, then))
    assert left(database, files, []) == {str(young)}


def test_other_files_are_left_alone(database: Database, files: CheckpointFiles, tmp_path: Path) -> None:
    files.write(Name(uuid.uuid4(), 1, 400), b"")
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    assert checkpoints.collect(database, files) == 0
    assert (tmp_path / "checkpoints" / "notes.txt").exists()


def left(database: Database, files: CheckpointFiles, names: list[Name]) -> set[str]:
    """Of these files, after a collection."""
    for name in names:
        files.write(name, b"")
    checkpoints.collect(database, files)
    return {str(name) for name in files.names()}
