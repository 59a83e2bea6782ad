"""The warden on real PostgreSQL, Redis and processes: what does not listen is ended, and what listens is left alone."""

import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from models import runs
from models.runs import queueing
from models.settings import Settings
from models.storage.database import Database
from models.storage.tables import Attempt, Experiment, Run
from models.storage.worker_tables import Worker
from tests.eventually import HANGS_S
from tests.models.stored import new_run
from tests.processes import PIPE, Process, process
from worker.slots import worker_name
from worker.warden import LAPSED_S, Warden

LEASE_S = 60.0
SOON_S = 0.05


@pytest.fixture
def child() -> Iterator[Process]:
    """A process that does not listen to anything but the operating system."""
    with process(sys.executable, "-c", "import time; time.sleep(600)") as child:
        yield child


def warden_of(database: Database, redis_url: str = "redis://127.0.0.1:1/0", **settings: Any) -> Warden:
    """Of this process's children."""
    given = Settings(redis_url=SecretStr(redis_url), workers=1, **settings)
    return Warden(psutil.Process(), database, given, deaf_s=SOON_S)


def held_by(database: Database, child: Process, **changes: Any) -> uuid.UUID:
    run_id, _ = new_run(database, **changes)
    with database.begin() as session:
        assert runs.claim(session, run_id, worker_name(child.pid), LEASE_S) is not None
    return run_id


def cancel(database: Database) -> None:
    with database.begin() as session:
        assert runs.cancel(session, session.execute(select(Experiment.id)).scalar_one())


def state(database: Database, run_id: uuid.UUID) -> tuple[str, str | None]:
    """(state, why its last attempt has ended)."""
    with database.begin() as session:
        reasons = select(Attempt.reason).where(Attempt.run_id == run_id).order_by(Attempt.number.desc()).limit(1)
        return session.get_one(Run, run_id).state, session.execute(reasons).scalar_one()


def test_a_cancelled_run_whose_process_does_not_listen_is_ended(database: Database, child: Process) -> None:
    run_id = held_by(database, child)
    warden = warden_of(database, cancel_grace_s=SOON_S)
    warden.look()
    cancel(database)
    time.sleep(2 * SOON_S)
    assert child.poll() is None
    warden.look()
    assert child.wait(HANGS_S) == -9
    assert state(database, run_id) == ("cancelled", "cancelled; its process did not listen")
    with database.begin() as session:
        assert session.execute(select(Experiment.state)).scalar_one() == "cancelled"


def test_a_run_whose_latest_end_has_passed_is_ended_though_no_dispatcher_is_there(
    database: Database, child: Process
) -> None:
    run_id = held_by(database, child)
    other = held_by(database, child)
    warden = warden_of(database, cancel_grace_s=SOON_S)
    with database.begin() as session:
        asked = select(Run.experiment_id).where(Run.id == run_id).scalar_subquery()
        session.execute(update(Experiment).where(Experiment.id == asked).values(end_before=func.clock_timestamp()))
    warden.look()  # its process is told to stop
    assert child.poll() is None
    time.sleep(2 * SOON_S)
    warden.look()
    assert child.wait(HANGS_S) == -9
    reason = "the experiment's end_before passed before the run ended; its process did not listen"
    assert state(database, run_id) == ("cancelled", reason)
    assert state(database, other)[0] == "running"


def test_a_cancelled_run_has_time_to_listen(database: Database, child: Process) -> None:
    run_id = held_by(database, child)
    cancel(database)
    warden_of(database, cancel_grace_s=600.0).look()
    assert child.poll() is None
    assert state(database, run_id) == ("running", None)


@pytest.mark.parametrize(
    ("limits", "title"),
    [({"time_limit_s": SOON_S}, "Time limit"), ({"memory_limit_bytes": 1_000_000}, "Out of memory")],
)
def test_a_run_beyond_a_hard_limit_fails_and_is_not_tried_again(
    database: Database, child: Process, limits: dict[str, Any], title: str
) -> None:
    run_id = held_by(database, child)
    time.sleep(2 * SOON_S)
    warden_of(database, **limits).look()
    assert child.wait(HANGS_S) == -9
    with database.begin() as session:
        run = session.get_one(Run, run_id)
    assert (run.state, run.error and run.error["title"]) == ("failed", title)


def test_within_its_limits_a_run_goes_on(database: Database, child: Process) -> None:
    run_id = held_by(database, child)
    warden_of(database, time_limit_s=600.0, memory_limit_bytes=10**12).look()
    assert child.poll() is None
    assert state(database, run_id) == ("running", None)


def test_a_run_that_makes_no_step_is_tried_again_elsewhere_and_fails_at_the_cap(
    database: Database, child: Process
) -> None:
    run_id = held_by(database, child)
    warden = warden_of(database, stall_limit_s=SOON_S, max_attempts=1)
    warden.look()
    with database.begin() as session:
        session.execute(update(Run).values(step=Run.step + 1))
    time.sleep(2 * SOON_S)
    warden.look()  # it has made a step in the meantime
    assert child.poll() is None
    time.sleep(2 * SOON_S)
    warden.look()
    assert child.wait(HANGS_S) == -9
    assert state(database, run_id)[0] == "failed"


def test_a_process_that_sits_on_the_row_of_its_run_beyond_the_lease_is_ended(
    database: Database, child: Process
) -> None:
    run_id = held_by(database, child)
    warden = warden_of(database)
    with database.begin() as session:
        session.execute(update(Run).values(lease_until=func.clock_timestamp() - runs.seconds(LAPSED_S / 2)))
    warden.look()
    assert child.poll() is None
    with database.begin() as session:
        session.execute(update(Run).values(lease_until=func.clock_timestamp() - runs.seconds(LAPSED_S + 1)))
    warden.look()
    assert child.wait(HANGS_S) == -9
    assert state(database, run_id) == ("running", None)  # the dispatchers take it up


def test_a_process_that_holds_the_lock_is_ended_although_its_run_cannot_be_taken(
    database: Database, child: Process
) -> None:
    held_by(database, child)
    cancel(database)
    with database.begin() as frozen:
        frozen.execute(select(Run).with_for_update())
        time.sleep(2 * SOON_S)
        warden_of(database, cancel_grace_s=SOON_S).look()
        assert child.wait(HANGS_S) == -9


def workers(database: Database) -> list[tuple[str, str]]:
    with database.begin() as session:
        return [(row.name, row.device) for row in session.execute(select(Worker)).scalars()]


def test_a_worker_is_there_while_its_warden_looks_and_not_once_it_has_ended(database: Database) -> None:
    warden = warden_of(database, device="cpu")
    warden.look()
    assert workers(database) == [(worker_name(psutil.Process().pid), "cpu")]
    warden.keep_looking()  # the parent of this process is another one, as an orphan's is
    assert workers(database) == []


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent() -> Iterator[psutil.Process]:
    """A process with one child, as a worker with one slot."""
    with process(sys.executable, "-c", FAMILY, stdout=PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        yield psutil.Process(parent.pid)


def published(database: Database, **changes: Any) -> None:
    new_run(database, **changes)
    with database.begin() as session:
        assert len(queueing.take_unpublished(session, window=16, republish_after_s=60.0)) == 1


def is_ended(parent: psutil.Process, database: Database, redis_url: str) -> bool:
    warden = warden_of(database, redis_url, device="cpu")
    warden.parent = parent
    warden.look()
    time.sleep(2 * SOON_S)
    warden.look()
    gone, _ = psutil.wait_procs([parent], timeout=0)
    return bool(gone)


def test_a_worker_that_does_not_hear_of_published_runs_is_ended(
    database: Database, redis_url: str, parent: psutil.Process
) -> None:
    published(database)
    assert is_ended(parent, database, redis_url)


def test_while_the_broker_is_away_no_worker_can_hear_of_runs(database: Database, parent: psutil.Process) -> None:
    published(database)
    assert not is_ended(parent, database, "redis://127.0.0.1:1/0")


def test_runs_for_other_devices_are_not_for_this_worker(
    database: Database, redis_url: str, parent: psutil.Process
) -> None:
    published(database, device="gpu")
    assert not is_ended(parent, database, redis_url)


def test_a_worker_whose_slots_are_busy_need_not_hear(
    database: Database, redis_url: str, parent: psutil.Process
) -> None:
    run_id, _ = new_run(database)
    with database.begin() as session:
        runs.claim(session, run_id, worker_name(parent.children()[0].pid), LEASE_S)
    published(database)
    assert not is_ended(parent, database, redis_url)
