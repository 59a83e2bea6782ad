"""The dispatcher between real PostgreSQL and real Redis: what is lost is sent again, what is doubled is harmless."""

import base64
import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import func, select, text, update

from models import runs
from models.plan import expand
from models.runs.writes import notify
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.checkpoints import CheckpointFiles, Name
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from models.storage.trace_tables import CurveChunk
from tests.eventually import eventually
from tests.models.stored import new_run, some_values, write_all, writer_of
from worker.app import ANY_QUEUE, CPU_QUEUE, GPU_QUEUE, ClinicCelery, create_app, queue_of, queues
from worker.dispatcher import MOST_MESSAGES, REPUBLISH_S, WINDOW, Dispatcher


def submit(database: Database, **changes: object) -> uuid.UUID:
    spec = ExperimentSpec.model_validate(
        {
            "name": "dispatch",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 2, "width": 4},
            "optimizer": {"kind": "sgd"},
            "steps": 1,
            "seeds": [0],
            **changes,
        }
    )
    with database.begin() as session:
        return runs.submit(session, spec, expand(spec), owner="local")


@pytest.fixture
def celery(database: Database, redis_url: str, tmp_path: Path) -> ClinicCelery:
    url = database.url.replace("+psycopg", "")
    settings = Settings(database_url=SecretStr(url), redis_url=SecretStr(redis_url), sweep_s=0.2, data_dir=tmp_path)
    return create_app(settings)


@pytest.fixture
def dispatcher(database: Database, celery: ClinicCelery) -> Dispatcher:
    return Dispatcher(database, celery, celery.settings)


@pytest.fixture
def broker(redis_url: str) -> Iterator["redis.Redis"]:
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


def messages(broker: "redis.Redis", queue: str = ANY_QUEUE) -> list[str]:
    """The run ids in a queue, oldest first."""
    raw = broker.lrange(queue, 0, -1)
    bodies = [json.loads(base64.b64decode(json.loads(message)["body"])) for message in reversed(raw)]
    return [arguments[0] for arguments, *_ in bodies]


def run_ids(database: Database) -> list[str]:
    with database.begin() as session:
        return [str(one) for one in session.execute(select(Run.id).order_by(Run.created_at, Run.position)).scalars()]


def test_a_message_is_a_run_id_and_nothing_else(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    submit(database, seeds=[0, 1])
    assert dispatcher.publish() == 2
    assert messages(broker) == run_ids(database)


def test_a_run_that_asks_for_a_gpu_goes_to_workers_that_have_one(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    submit(database, device="gpu")
    dispatcher.publish()
    assert (messages(broker), messages(broker, GPU_QUEUE)) == ([], run_ids(database))


PLUGGED = {"network": {"kind": "plugin", "name": "tower", "package": "acme", "version": "1"}}


def test_runs_of_plug_ins_have_a_queue_of_their_own_and_hold_up_no_others(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    submit(database, **PLUGGED, seeds={"count": 2 * WINDOW}, priority=9)
    submit(database)
    dispatcher.publish()
    assert messages(broker) == run_ids(database)[-1:]
    assert messages(broker, queue_of("auto", plugins=True)) == run_ids(database)[:WINDOW]


@pytest.mark.parametrize(("plugins", "taken"), [("", False), ("acme", True)])
def test_only_workers_that_may_have_plug_ins_take_their_runs(plugins: str, taken: bool) -> None:  # noqa: FBT001
    settings = Settings.model_validate({"plugins": plugins, "device": "cpu"})
    assert [queue for queue in queues(settings) if "plugins" not in queue] == [ANY_QUEUE, CPU_QUEUE]
    assert any("plugins" in queue for queue in queues(settings)) == taken


def test_messages_in_flight_are_bounded(database: Database, dispatcher: Dispatcher, broker: "redis.Redis") -> None:
    submit(database, seeds={"count": 3 * WINDOW})
    dispatcher.publish()
    dispatcher.publish()
    assert len(messages(broker)) == WINDOW


def test_what_redis_lost_is_published_again(database: Database, dispatcher: Dispatcher, broker: "redis.Redis") -> None:
    submit(database)
    dispatcher.publish()
    broker.flushdb()
    assert dispatcher.publish() == 0
    with database.begin() as session:
        session.execute(update(Run).values(published_at=Run.published_at - runs.seconds(REPUBLISH_S + 1)))
    assert dispatcher.publish() == 1
    assert messages(broker) == run_ids(database)


def test_messages_that_nobody_takes_do_not_pile_up(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    submit(database, seeds={"count": 2 * WINDOW})
    for _ in range(6):
        dispatcher.publish()
        with database.begin() as session:
            session.execute(update(Run).values(published_at=Run.published_at - runs.seconds(REPUBLISH_S + 1)))
    assert len(messages(broker)) == MOST_MESSAGES
    broker.lpop(ANY_QUEUE)
    dispatcher.publish()
    assert len(messages(broker)) == MOST_MESSAGES


def test_messages_of_runs_that_were_claimed_beside_others_hold_up_nobody(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    submit(database, seeds={"count": 2 * WINDOW})
    dispatcher.publish()
    with database.begin() as session:
        session.execute(update(Run).where(Run.published_at.is_not(None)).values(state="running"))
    assert dispatcher.publish() == WINDOW
    assert messages(broker) == run_ids(database)


def test_it_serves_what_is_submitted_and_what_was_lost(
    database: Database, dispatcher: Dispatcher, broker: "redis.Redis"
) -> None:
    with serving(dispatcher):
        submit(database)
        assert eventually(lambda: messages(broker) == run_ids(database))
        with database.begin() as session:
            runs.claim(session, uuid.UUID(run_ids(database)[0]), "host:1", lease_s=0.0)
        assert eventually(lambda: messages(broker) == 2 * run_ids(database))


def test_between_two_looks_of_a_burst_of_notices_there_is_a_rest(
    database: Database, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def look() -> int:
        looks.append(time.monotonic())
        time.sleep(0.1)  # as among many thousands
        return 0

    monkeypatch.setattr(dispatcher, "publish", look)
    with serving(dispatcher):
        assert eventually(lambda: bool(looks))
        while time.monotonic() - looks[0] < 10 * 0.1:
            with database.begin() as session:
                notify(session, runs.QUEUE_CHANNEL)
        # One after the other they would be ten.
        assert len(looks) <= 5
        assert eventually(lambda: len(looks) > 5)  # what came last is not forgotten


def test_old_traces_go_only_where_a_setting_says_so(database: Database, celery: ClinicCelery) -> None:
    run_id, plan = new_run(database, steps=600)
    write_all(database, writer_of(run_id, plan), *some_values(3, 600, seed=0))
    long_ago = func.clock_timestamp() - runs.seconds(90_000.0)
    with database.begin() as session:
        session.execute(update(Run).values(state="cancelled", ended_at=long_ago))
    keeping = Dispatcher(database, celery, celery.settings)
    assert keeping.retain() == 0
    forgetting = Dispatcher(database, celery, celery.settings.model_copy(update={"trace_retention_days": 1.0}))
    with serving(forgetting):
        assert eventually(lambda: count(database, CurveChunk) == 0)


def test_a_checkpoint_of_a_run_that_has_ended_is_collected(database: Database, dispatcher: Dispatcher) -> None:
    run_id, _ = new_run(database)
    files = CheckpointFiles(dispatcher._settings.files_url())  # noqa: SLF001 -- where its settings say
    files.write(Name(run_id, 1, 400), b"")
    assert dispatcher.collect() == 0
    with database.begin() as session:
        session.execute(update(Run).values(state="cancelled"))
    with serving(dispatcher):
        assert eventually(lambda: not files.names())


def test_device_time_of_what_was_deleted_goes_after_a_day(database: Database, dispatcher: Dispatcher) -> None:
    with database.begin() as session:
        rows = "INSERT INTO deleted_attempt (owner, ended_at, seconds) VALUES ('ada', clock_timestamp() - :age, :s)"
        for seconds, hours in ((1, 23), (2, 25)):
            session.execute(text(rows), {"age": dt.timedelta(hours=hours), "s": seconds})
    dispatcher.reap()
    with database.begin() as session:
        assert session.execute(text("SELECT seconds FROM deleted_attempt")).scalars().all() == [1]


def stored_comparison(database: Database, experiment_id: uuid.UUID) -> bool:
    with database.begin() as session:
        return session.execute(
            select(Experiment.comparison.is_not(None)).where(Experiment.id == experiment_id)
        ).scalar_one()


def test_an_experiment_that_ended_without_a_worker_is_compared_and_again_after_a_retry(
    database: Database, dispatcher: Dispatcher
) -> None:
    experiment_id = submit(database, deadline="2001-01-01T00:00:00Z")
    dispatcher.reap()  # the deadline has passed
    dispatcher.compare()
    assert stored_comparison(database, experiment_id)
    with database.begin() as session:
        assert runs.retry(session, experiment_id) == 1
    dispatcher.compare()
    assert not stored_comparison(database, experiment_id)
    dispatcher.reap()
    dispatcher.compare()
    assert stored_comparison(database, experiment_id)


def test_one_that_cannot_be_compared_does_not_hold_up_the_others(database: Database, dispatcher: Dispatcher) -> None:
    broken, whole = (submit(database, deadline="2001-01-01T00:00:00Z") for _ in range(2))
    dispatcher.reap()
    with database.begin() as session:
        session.execute(text("UPDATE experiment SET spec = '{}' WHERE id = :id"), {"id": broken})
    for _ in range(2):
        dispatcher.compare()
    assert (stored_comparison(database, broken), stored_comparison(database, whole)) == (False, True)


@contextmanager
def serving(dispatcher: Dispatcher) -> Iterator[None]:
    thread = threading.Thread(target=dispatcher.serve)
    thread.start()
    try:
        yield
    finally:
        dispatcher.close()
        thread.join()


def count(database: Database, table: type[Any]) -> int:
    with database.begin() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()
