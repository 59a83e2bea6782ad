"""Event streams: nothing missed and nothing twice, whoever writes, whoever was away; and every stream ends."""

import math
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import event, select, text, update
from structlog.testing import capture_logs

from api.app import create_app
from api.http.sse import Pace
from api.server import Server
from api.views.experiments import EVENTS, EndEvent, ProgressEvent
from models import runs
from models.runs import Lease, events
from models.settings import Settings
from models.storage.database import Database
from models.storage.tables import Event, Experiment
from tests.api.conftest import ADDRESS
from tests.api.heard import Follower, Heard, Json, parsed
from tests.api.made import claim, problem, run_ids, submit, train, train_all
from tests.away import away

Eventually = Callable[[Callable[[], bool]], bool]
SOON_S = 60.0
NEVER_S = 3_600.0


@contextmanager
def served(app: FastAPI, eventually: Eventually) -> Iterator[tuple[Server, httpx2.Client]]:
    """A real server with a client of it; it hears of changes from the beginning."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert eventually(lambda: server.started and app.state.changes.listening.is_set())
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        with httpx2.Client(base_url=address, trust_env=False, timeout=SOON_S) as client:
            yield server, client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def live(app: FastAPI, eventually: Eventually) -> Iterator[httpx2.Client]:
    with served(app, eventually) as (_, client):
        yield client


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def path_of(experiment: Json) -> str:
    return str(experiment["links"]["events"])


def told(client: httpx2.Client, experiment: Json, after: int | None = None) -> list[Heard]:
    """What a stream that ends by itself says."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    response = client.get(path_of(experiment), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    return list(parsed(response.text.splitlines()))


def flush(database: Database, lease: Lease, step: int, loss: float) -> None:
    """As a recorder does it."""
    with database.begin() as session:
        assert runs.beat(session, lease, 60.0, step=step)
        events.tell_progress(session, lease.experiment_id, lease.run_id, loss)


def cancel(database: Database, experiment: Json) -> None:
    with database.begin() as session:
        runs.cancel(session, uuid.UUID(experiment["id"]))


def test_the_story_of_an_experiment_that_has_ended_is_told_whole_and_ends(
    client: TestClient, database: Database
) -> None:
    experiment = submit(client, seeds=[3])
    train_all(database, experiment)
    (run_id,) = run_ids(database, experiment)
    heard = told(client, experiment)
    run = {"run_id": str(run_id), "variant": "baseline", "seed": 3, "phase": "trial"}
    none = {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    ended = {"outcome": None, "attempt": 0, "reason": None}
    assert [(one.name, one.data) for one in heard] == [
        ("experiment", {"state": "queued", "progress": 0.0, "runs": none | {"queued": 1}}),
        ("run", run | ended | {"state": "queued"}),
        ("run", run | ended | {"state": "running", "attempt": 1}),
        ("experiment", {"state": "running", "progress": 0.0, "runs": none | {"running": 1}}),
        ("run", run | ended | {"state": "succeeded", "attempt": 1, "outcome": "finished"}),
        ("experiment", {"state": "succeeded", "progress": 1.0, "runs": none | {"succeeded": 1}}),
        ("end", {"reason": "ended", "state": "succeeded"}),
    ]
    assert_in_order(heard[:-1])
    assert heard[-1].number is None


def assert_in_order(heard: Sequence[Heard]) -> None:
    """Numbers that grow from each to the next."""
    numbers = [one.number or 0 for one in heard]
    assert numbers == sorted(set(numbers))


def test_every_event_has_the_shape_that_the_schema_gives_it(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    lease, _ = claim(database, run_ids(database, experiment)[0])
    flush(database, lease, 1, 0.5)
    cancel(database, experiment)
    with database.begin() as session:
        runs.stop(session, lease)
    shapes: dict[str, type[BaseModel]] = {**EVENTS, "end": EndEvent}
    heard = told(client, experiment)
    assert {one.name for one in heard} == set(shapes)
    for one in heard:
        assert shapes[one.name].model_validate(one.data).model_dump(mode="json") == one.data


def test_from_every_number_on_exactly_the_rest_is_told(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    train_all(database, experiment)
    heard = told(client, experiment)
    for index, one in enumerate(heard[:-1]):
        assert told(client, experiment, one.number) == heard[index + 1 :]
        asked = client.get(path_of(experiment), params={"last_event_id": one.number})
        assert list(parsed(asked.text.splitlines())) == heard[index + 1 :]
    # A browser that comes back sends the address as it was, and the number that it has by now.
    newer = {"Last-Event-ID": str(heard[-2].number)}
    both = client.get(path_of(experiment), params={"last_event_id": 0}, headers=newer)
    assert list(parsed(both.text.splitlines())) == heard[-1:]


def test_a_long_story_comes_in_several_looks(client: TestClient, database: Database, settings: Settings) -> None:
    experiment = submit(client, seeds=list(range(7)))
    cancel(database, experiment)
    whole = told(client, experiment)
    for batch in (1, 2, len(whole) - 1, len(whole)):
        with TestClient(create_app(settings, Pace(batch=batch)), base_url=ADDRESS) as other:
            assert told(other, experiment) == whole


@pytest.mark.parametrize("number", ["-1", "nan", "soon", "1.5", str(2**63), "1" * 10_000])
def test_a_number_that_cannot_be_is_refused(reader: TestClient, number: str) -> None:
    path = f"/v1/experiments/{uuid.uuid4()}/events"
    refused = problem(reader.get(path, headers={"Last-Event-ID": number}), 422)
    assert refused["errors"][0]["field"] == "Last-Event-ID"
    assert problem(reader.get(path, params={"last_event_id": number}), 422)["errors"][0]["field"] == "last_event_id"


def test_a_number_that_was_never_given_begins_at_the_start(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    cancel(database, experiment)
    heard = told(client, experiment)
    assert told(client, experiment, 2**62) == heard


def test_another_owners_experiment_has_no_events(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    with database.begin() as session:
        session.execute(update(Experiment).values(owner="somebody else"))
    problem(client.get(path_of(experiment)), 404)
    problem(client.get(f"/v1/experiments/{uuid.uuid4()}/events"), 404)


@pytest.mark.parametrize("pace", [Pace(sweep_s=NEVER_S)])
def test_who_listens_hears_of_a_change_at_once(
    live: httpx2.Client, database: Database, pool: ThreadPoolExecutor,
    app: FastAPI, eventually: Eventually,
) -> None:  # fmt: skip
    experiment = submit(live, seeds=[0])
    follower, ended = listening(app, live, experiment, pool, eventually)
    assert eventually(lambda: len(follower.heard) == 2)
    lease, _ = claim(database, run_ids(database, experiment)[0])
    assert eventually(lambda: [one.data["state"] for one in follower.heard[2:]] == ["running", "running"])
    flush(database, lease, 2, 0.25)
    assert eventually(lambda: follower.heard[-1].name == "progress")
    assert (follower.heard[-1].data["step"], follower.heard[-1].data["loss"]) == (2, 0.25)
    cancel(database, experiment)
    with database.begin() as session:
        runs.stop(session, lease)
    ended.result(SOON_S)
    assert follower.heard[-1].data == {"reason": "ended", "state": "cancelled"}


def listening(
    app: FastAPI, client: httpx2.Client, experiment: Json, pool: ThreadPoolExecutor, eventually: Eventually
) -> tuple[Follower, Future[None]]:
    """Somebody who listens, and its end to come."""
    follower = Follower(client, path_of(experiment))
    ended = pool.submit(follower.listen)
    assert eventually(lambda: app.state.changes.waiting == 1 and bool(follower.heard))
    return follower, ended


@pytest.mark.parametrize("pace", [Pace(sweep_s=NEVER_S)])
def test_a_change_between_the_look_and_the_wait_is_not_missed(
    live: httpx2.Client, database: Database, pool: ThreadPoolExecutor,
    app: FastAPI, eventually: Eventually,
) -> None:  # fmt: skip
    experiment = submit(live)
    waiting_now = app.state.changes._waiting  # noqa: SLF001
    changed: list[bool] = []

    def change_once(_: object) -> None:
        # A look has read its rows and not yet returned: its answer is old, and the news is there before it.
        if waiting_now and not changed:
            changed.append(True)
            cancel(database, experiment)
            assert eventually(lambda: all(one.is_set() for one in waiting_now[experiment["id"]]))

    event.listen(app.state.database.engine, "commit", change_once)
    follower = Follower(live, path_of(experiment))
    pool.submit(follower.listen).result(SOON_S)
    assert (changed, follower.ended) == ([True], True)


@pytest.mark.parametrize("pace", [Pace(sweep_s=0.1)])
def test_a_lost_notice_costs_a_sweep_and_no_event(
    live: httpx2.Client, database: Database, pool: ThreadPoolExecutor,
    app: FastAPI, eventually: Eventually,
) -> None:  # fmt: skip
    experiment = submit(live)
    follower, ended = listening(app, live, experiment, pool, eventually)
    before = len(follower.heard)
    with database.begin() as session:
        events.tell_runs(session, uuid.UUID(experiment["id"]), run_ids(database, experiment))  # and nobody is notified
    assert eventually(lambda: len(follower.heard) > before)
    cancel(database, experiment)
    ended.result(SOON_S)


@pytest.mark.parametrize("pace", [Pace(sweep_s=0.05)])
def test_a_silent_stream_shows_that_it_lives(live: httpx2.Client, database: Database) -> None:
    experiment = submit(live)
    with live.stream("GET", path_of(experiment)) as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        claim(database, run_ids(database, experiment)[0])
        assert next(line for line in lines if '"running"' in line)
        # It is silent again after a change, and does not look on and on.
        assert [next(line for line in lines if line.startswith(":")) for _ in range(3)] == [": still here"] * 3


def test_a_loss_that_is_not_finite_is_null_and_marked(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0])
    (run_id,) = run_ids(database, experiment)
    lease, _ = claim(database, run_id)
    for loss, shown in ((math.nan, None), (math.inf, None), (-math.inf, None), (1e300, 1e300), (0.1, 0.1)):
        flush(database, lease, 3, loss)
        with database.begin() as session:
            news = events.news(session, lease.experiment_id, 0, 100)
        assert news is not None
        newest = ProgressEvent.model_validate(news.events[-1].data)
        assert newest == ProgressEvent(
            run_id=str(run_id), variant="baseline", seed=0, step=3, steps=4, loss=shown, nonfinite=shown is None
        )
    flush(database, lease, 4, math.nan)
    cancel(database, experiment)
    with database.begin() as session:
        runs.stop(session, lease)
    (heard,) = [one for one in told(client, experiment) if one.name == "progress"]
    assert (heard.data["loss"], heard.data["nonfinite"]) == (None, True)


def test_deleting_the_experiment_ends_its_streams(
    live: httpx2.Client, pool: ThreadPoolExecutor, app: FastAPI, database: Database, eventually: Eventually
) -> None:
    experiment = submit(live)
    follower, ended = listening(app, live, experiment, pool, eventually)
    live.delete(experiment["links"]["self"])
    ended.result(SOON_S)
    assert (follower.heard[-1].name, follower.heard[-1].data) == ("end", {"reason": "deleted", "state": None})
    problem(live.get(path_of(experiment)), 404)
    with database.begin() as session:
        assert session.execute(select(Event.id)).first() is None


def test_open_streams_are_counted_and_one_whose_client_has_gone_is_closed(
    live: httpx2.Client, app: FastAPI, eventually: Eventually
) -> None:
    experiment = submit(live)
    with live.stream("GET", path_of(experiment)) as response:
        lines = response.iter_lines()  # kept, as dropping it would close the connection
        assert next(lines)
        assert "clinic_event_streams 1.0" in live.get("/metrics").text
    assert eventually(lambda: app.state.changes.waiting == 0)
    assert "clinic_event_streams 0.0" in live.get("/metrics").text


def test_streams_hold_no_thread_and_no_connection(
    live: httpx2.Client, app: FastAPI, database: Database, eventually: Eventually
) -> None:
    experiment = submit(live)
    limits = httpx2.Limits(max_connections=200)
    address = str(live.base_url)
    with (
        httpx2.Client(base_url=address, trust_env=False, timeout=SOON_S, limits=limits) as client,
        ThreadPoolExecutor(60) as many,
    ):
        followers = [Follower(client, path_of(experiment)) for _ in range(60)]
        ends = [many.submit(follower.listen) for follower in followers]
        assert eventually(lambda: app.state.changes.waiting == 60)
        # More streams than the pool has threads, and than it has connections.
        assert live.get("/v1/experiments").status_code == 200
        assert not any(end.done() for end in ends)
        cancel(database, experiment)
        for end in ends:
            end.result(SOON_S)
        assert all(follower.heard == followers[0].heard and follower.ended for follower in followers)


def test_a_server_that_ends_ends_its_streams_and_the_next_one_goes_on(
    settings: Settings, database: Database, pool: ThreadPoolExecutor,
    eventually: Eventually,
) -> None:  # fmt: skip
    app = create_app(settings, Pace(sweep_s=NEVER_S))
    with served(app, eventually) as (server, client):
        experiment = submit(client, seeds=[0, 1])
        first, second = run_ids(database, experiment)
        follower, cut = listening(app, client, experiment, pool, eventually)
        train(database, first)
        assert eventually(lambda: "succeeded" in [one.data["state"] for one in follower.of("run")])
        server.should_exit = True
        cut.result(SOON_S)
        assert "end" not in {one.name for one in follower.heard}
    train(database, second)
    with served(create_app(settings), eventually) as (_, client):
        follower.client = client
        follower.listen()
        assert follower.ended
        once = [(one.data["seed"], one.data["state"]) for one in follower.of("run")]
        assert once == [
            (0, "queued"), (1, "queued"), (0, "running"), (0, "succeeded"), (1, "running"), (1, "succeeded")
        ]  # fmt: skip


@pytest.mark.parametrize("pace", [Pace(sweep_s=0.1)])
def test_a_stream_outlives_a_database_that_is_away(
    live: httpx2.Client, database: Database, pool: ThreadPoolExecutor, app: FastAPI, eventually: Eventually,
    postgres_server: str,
) -> None:  # fmt: skip
    experiment = submit(live)
    follower, ended = listening(app, live, experiment, pool, eventually)
    with away(database, postgres_server), capture_logs() as logged:
        assert eventually(lambda: "a stream waits for the database" in [line["event"] for line in logged])
        assert not ended.done()
    cancel(database, experiment)
    ended.result(SOON_S)
    assert follower.ended


def test_of_progress_and_counts_there_is_one_row_each_however_long_it_goes_on(
    client: TestClient, database: Database
) -> None:
    experiment = submit(client, seeds=[0, 1])
    leases = [claim(database, run_id)[0] for run_id in run_ids(database, experiment)]

    def rows() -> list[str]:
        with database.begin() as session:
            return sorted(session.execute(select(Event.kind)).scalars())

    for lease in leases:
        flush(database, lease, 1, 1.0)
    before = rows()
    assert before == ["experiment"] * 3 + ["progress"] * 2 + ["run"] * 4
    for step in range(50):
        for lease in leases:
            flush(database, lease, step, 1.0)
    assert rows() == before


@pytest.mark.parametrize("seed", range(3))
def test_with_many_writers_a_reader_that_comes_and_goes_hears_every_state_once_and_in_order(
    live: httpx2.Client, database: Database, pool: ThreadPoolExecutor, seed: int
) -> None:
    slow_commits(database)
    experiment = submit(live, seeds=list(range(12)), budget={"device_seconds": 1e9})
    ids = run_ids(database, experiment)
    work = [pool.submit(live_through, database, run_id, seed) for run_id in ids]
    follower = Follower(live, path_of(experiment))
    chance = random.Random(seed)
    while not follower.ended:
        follower.listen(most=chance.randint(1, 6))
    for one in work:
        one.result(SOON_S)
    assert_in_order(follower.heard[:-1])
    numbers = [one.number for one in follower.heard[:-1]]
    with database.begin() as session:
        kept = select(Event.id).where(Event.newest_of.is_(None)).order_by(Event.id)
        stored = list(session.execute(kept).scalars())
        progress = select(Event.newest_of, Event.id).where(Event.kind == "progress")
        newest = {row.newest_of: row.id for row in session.execute(progress)}
    assert [number for number in numbers if number in set(stored)] == stored
    for run_id in ids:
        mine = [one for one in follower.heard if one.data.get("run_id") == str(run_id)]
        assert [one.data["state"] for one in mine if one.name == "run"] == [
            "queued", "running", "queued", "running", "failed"
        ]  # fmt: skip
        assert [one.number for one in mine if one.name == "progress"][-1] == newest[run_id]


def slow_commits(database: Database) -> None:
    """After its last statement a transaction takes a while, of chance, until it is committed."""
    with database.begin() as session:
        session.execute(
            text(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(random() * 0.01); RETURN NULL; END $$; "
                "CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON event DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION slow();"
            )
        )


def live_through(database: Database, run_id: uuid.UUID, seed: int) -> None:
    """Two attempts: the first is handed back, the second fails; each writes now and then."""
    for last in (False, True):
        lease, _ = claim(database, run_id)
        for step in range(3):
            flush(database, lease, step, float(seed))
        with database.begin() as session:
            if last:
                runs.fail(session, lease, {"detail": "broken"})
            else:
                runs.give_back(session, lease, "again")
