"""A worker on another host, and the cable to its servers cut in mid-run: the run goes on here, the same bit by bit, and
the worker takes work again once the cable is mended. PostgreSQL and Redis have a cable each.
"""

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from local import migrations
from local.child import Child, Program
from local.folder import Folder
from local.postgres import EmbeddedPostgres
from local.redis import EmbeddedRedis
from local.server import Server, start
from models import runs
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.database import Database
from models.storage.tables import Attempt, Run
from models.traces.reader import read_run
from tests.end_to_end.cable import Cable, FarHost, far_host, what_is_missing
from tests.eventually import eventually

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif((why := what_is_missing()) is not None, reason=str(why)),
]

ROOT = Path(__file__).parent.parent.parent
LEASE_S = 3.0
OUTAGE_S, OUTAGE_RUNS = 15.0, 30
PATIENCE_S = 150.0
"""For what takes seconds on a machine that has nothing else to do."""
SPEC = ExperimentSpec.model_validate(
    {
        "name": "cut",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {"kind": "mlp", "depth": 10, "width": 64},
        "optimizer": {"kind": "sgd"},
        "steps": 2500,  # some seconds, so that a cut lands inside
        "seeds": [0],
    }
)


class Postgres(EmbeddedPostgres):
    """Heard on its cable too."""

    def __init__(self, folder: Folder, cable: Cable) -> None:
        super().__init__(folder, durable=False)
        self._cable = cable

    def program(self) -> Program:
        program = super().program()
        data = Path(program.argv[program.argv.index("-D") + 1])
        with (data / "pg_hba.conf").open("a") as allowed:
            allowed.write(f"host all all {self._cable.far}/32 scram-sha-256\n")
        listen = f"listen_addresses=127.0.0.1,{self._cable.near}"
        return replace(program, argv=(*program.argv, "-c", listen))


class Redis(EmbeddedRedis):
    """As ``Postgres``."""

    def __init__(self, folder: Folder, cable: Cable) -> None:
        super().__init__(folder)
        self._cable = cable

    def program(self) -> Program:
        program = super().program()
        both = f"bind 127.0.0.1 {self._cable.near}\n".encode()
        return replace(program, typed=program.typed.replace(b"bind 127.0.0.1\n", both))


@dataclass(frozen=True, slots=True)
class Hosts:
    """This host with the servers, a dispatcher and a worker of one slot; and the far one with another worker."""

    database: Database
    to_postgres: Cable
    to_redis: Cable
    far_log: Path

    def submit(self, **changes: object) -> uuid.UUID:
        """The only run of a new experiment."""
        spec = SPEC.model_copy(update=changes)
        with self.database.begin() as session:
            experiment_id = runs.submit(session, spec, expand(spec), owner="local")
            return session.execute(select(Run.id).where(Run.experiment_id == experiment_id)).scalar_one()

    def cancel(self, run_id: uuid.UUID) -> None:
        with self.database.begin() as session:
            runs.cancel(session, session.get_one(Run, run_id).experiment_id)
        assert eventually(lambda: State(self.run(run_id).state).is_finished, PATIENCE_S)

    def run(self, run_id: uuid.UUID) -> Run:
        with self.database.begin() as session:
            return session.get_one(Run, run_id)

    def succeeded(self, run_id: uuid.UUID) -> bool:
        return self.run(run_id).state == State.SUCCEEDED

    def attempts(self, run_id: uuid.UUID) -> list[tuple[bool, str | None]]:
        """(whether on the far host, why it ended) of each."""
        with self.database.begin() as session:
            rows = session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number))
            return [(row.worker.startswith("far:"), row.reason) for row in rows]

    def left(self, run_id: uuid.UUID) -> Mapping[str, bytes]:
        """All that was recorded but the times, bit by bit."""
        with self.database.begin() as session:
            trace = read_run(session, run_id, expand(SPEC)[0].plan)
        curves = {name: values.tobytes() for name, values in trace.curves.items() if name != "step_seconds"}
        return {name: values.tobytes() for name, values in trace.signals.items()} | curves

    def both_at_work(self, **changes: object) -> tuple[uuid.UUID, uuid.UUID]:
        """(a run that the far worker trains, its twin that this host's worker trains)."""
        twins = [self.submit(**changes), self.submit(**changes)]
        assert eventually(lambda: all(self.run(run_id).step > 0 for run_id in twins), PATIENCE_S), (
            self.far_log.read_text()
        )
        far, near = sorted(twins, key=lambda run_id: not self.attempts(run_id)[0][0])
        assert [self.attempts(far), self.attempts(near)] == [[(True, None)], [(False, None)]]
        return far, near

    @contextmanager
    def cut(self, *cables: Cable) -> Iterator[None]:
        for cable in cables:
            cable.cut()
        try:
            yield
        finally:
            for cable in cables:
                cable.heal()

    def both_take_work(self) -> None:
        """Whoever has none: of two long runs each worker trains one."""
        for run_id in self.both_at_work(steps=1_000_000):
            self.cancel(run_id)

    def far_worker_gave_up(self, since: int) -> bool:
        said = self.far_log.read_text()[since:]
        return "the database is away; the lease will lapse" in said or "the lease was lost" in said


def _serving(stack: ExitStack, server: Server) -> str:
    stack.callback(start(server).stop)
    return server.url


def _stop(children: Sequence[Child]) -> None:
    """Side by side."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()


def _at(url: str, host: str) -> str:
    return make_url(url).set(host=host).render_as_string(hide_password=False)


def _process(folder: Folder, name: str, argv: tuple[str, ...], urls: tuple[str, str]) -> Child:
    environment = os.environ | {  # noqa: TID251 -- handed on, not read
        "CLINIC_DATABASE_URL": urls[0],
        "CLINIC_REDIS_URL": urls[1],
        "CLINIC_DATA_DIR": str(folder.path),
        "CLINIC_LEASE_S": str(LEASE_S),
        "CLINIC_SWEEP_S": "1",
        "CLINIC_WORKERS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return Child(
        Program(
            name=name,
            argv=argv,
            log=folder.log(name),
            record=folder.record(name),
            environment=environment,
            folder=ROOT,
            death_signal=signal.SIGTERM,
        )
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    folder = Folder.temporary(ROOT, ".clinic-test-")
    yield folder
    folder.release()


@pytest.fixture(scope="module")
def far(folder: Folder) -> Iterator[FarHost]:
    with far_host(folder) as host:
        yield host


@pytest.fixture(scope="module")
def hosts(folder: Folder, far: FarHost) -> Iterator[Hosts]:
    to_postgres, to_redis = far.cables
    with ExitStack() as stack:
        postgres = _serving(stack, Postgres(folder, to_postgres))
        redis = _serving(stack, Redis(folder, to_redis))
        migrations.upgrade(postgres)
        database = Database(postgres)
        stack.callback(database.dispose)
        worker = (sys.executable, "-m", "worker")
        from_afar = (_at(postgres, to_postgres.near), _at(redis, to_redis.near))
        started: list[Child] = []
        stack.callback(_stop, started)
        started.append(_process(folder, "far", far.there(*worker), from_afar))
        started.append(_process(folder, "near", worker, (postgres, redis)))
        started.append(_process(folder, "dispatcher", (sys.executable, "-m", "worker.dispatcher"), (postgres, redis)))
        hosts = Hosts(database, to_postgres, to_redis, folder.log("far"))
        hosts.both_take_work()
        yield hosts


@pytest.fixture(scope="module")
def undisturbed(hosts: Hosts) -> Mapping[str, bytes]:
    run_id = hosts.submit()
    assert eventually(lambda: hosts.succeeded(run_id), PATIENCE_S)
    return hosts.left(run_id)


@pytest.mark.parametrize("what", ["both", "postgres"])
def test_a_cut_off_workers_run_is_finished_by_another(
    hosts: Hosts, undisturbed: Mapping[str, bytes], what: str
) -> None:
    cables = [hosts.to_postgres, hosts.to_redis] if what == "both" else [hosts.to_postgres]
    far, near = hosts.both_at_work()
    said = hosts.far_log.stat().st_size
    with hosts.cut(*cables):
        hosts.cancel(near)
        assert eventually(lambda: hosts.succeeded(far), PATIENCE_S)
        # While it hears nothing: nobody has told it.
        assert eventually(lambda: hosts.far_worker_gave_up(said), PATIENCE_S)
    assert hosts.attempts(far) == [(True, "lease lost"), (False, "finished")]
    assert hosts.left(far) == undisturbed
    hosts.both_take_work()
    assert hosts.left(far) == undisturbed


def test_a_worker_without_its_database_leaves_the_runs_to_the_other(hosts: Hosts) -> None:
    """It hears of runs and can claim none: it may swallow one message, which is sent again, and no second one."""
    said = hosts.far_log.stat().st_size
    with hosts.cut(hosts.to_postgres):
        # Its slot is given many chances, and time to be done with what it has swallowed.
        for _ in range(OUTAGE_RUNS):
            run_id = hosts.submit(steps=1)
            assert eventually(partial(hosts.succeeded, run_id), PATIENCE_S)
            assert hosts.attempts(run_id) == [(False, "finished")]
            time.sleep(OUTAGE_S / OUTAGE_RUNS)
        assert hosts.far_log.read_text()[said:].count("received") <= 1
    hosts.both_take_work()


def test_without_redis_a_run_goes_on_and_the_next_one_comes_when_it_is_back(
    hosts: Hosts, undisturbed: Mapping[str, bytes]
) -> None:
    far, near = hosts.both_at_work()
    with hosts.cut(hosts.to_redis):
        hosts.cancel(near)
        assert eventually(lambda: hosts.succeeded(far), PATIENCE_S)
    assert hosts.attempts(far) == [(True, "finished")]
    assert hosts.left(far) == undisturbed
    hosts.both_take_work()
