"""The stream of all experiments: what has changed, to those who may see it, and nothing of others."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.engine import make_url

from api.app import create_app
from api.http.sse import Pace
from api.routes.events import MOST_TOLD
from api.views.experiments import ChangedEvent, ChangedExperiment
from models import runs
from models.runs import comparing
from models.settings import Settings
from models.storage.database import Database
from models.storage.tables import Experiment
from tests.api.conftest import served
from tests.api.heard import parsed
from tests.api.keyed import KEY, Headers, holder
from tests.api.made import Json, claim, problem, run_ids, spec, submit, train_all

PATH = "/v1/events"
NEVER_S = 3_600.0
SOON_S = 60.0
QUICK = Pace(sweep_s=NEVER_S, list_s=0.01)
Eventually = Callable[[Callable[[], bool]], bool]


@dataclass
class Listener:
    """Somebody who listens until the server ends the stream."""

    told: list[ChangedEvent] = field(default_factory=list)

    def listen(self, client: httpx2.Client, headers: Headers) -> None:
        with client.stream("GET", PATH, headers=headers) as response:
            assert response.status_code == 200, response.read()
            for one in parsed(response.iter_lines()):
                assert (one.number, one.name) == (None, "changed")
                self.told.append(ChangedEvent.model_validate(one.data))

    def states(self, experiment: Json) -> list[str]:
        """Each once, in the order in which they were told."""
        mine = (one.state for told in self.told for one in told.experiments if one.id == experiment["id"])
        return [state for state, _ in itertools.groupby(map(str, mine))]

    def now(self, experiment: Json) -> ChangedExperiment | None:
        """As it was told last."""
        mine = [one for told in self.told for one in told.experiments if one.id == experiment["id"]]
        return mine[-1] if mine else None

    @property
    def deleted(self) -> set[str]:
        """What came and went before a look is told of for both."""
        return {gone for told in self.told for gone in told.deleted}

    @property
    def ids(self) -> set[str]:
        return {one.id for told in self.told for one in told.experiments} | self.deleted


@dataclass
class Clinic:
    """A real server, and who listens to it."""

    app: FastAPI
    client: httpx2.Client
    pool: ThreadPoolExecutor
    eventually: Eventually

    def listener(self, headers: Headers | None = None) -> tuple[Listener, Future[None]]:
        listener = Listener()
        ended = self.pool.submit(listener.listen, self.client, headers or {})
        assert self.eventually(lambda: bool(listener.told))
        return listener, ended


@contextmanager
def clinic(app: FastAPI, eventually: Eventually) -> Iterator[Clinic]:
    # The pool outside: its listeners end with the server.
    with ThreadPoolExecutor(4) as pool, served(app) as address:
        assert eventually(app.state.changes.listening.is_set)
        with httpx2.Client(base_url=address, trust_env=False, timeout=SOON_S) as client:
            yield Clinic(app, client, pool, eventually)
            app.state.changes.release()


@pytest.fixture
def live(settings: Settings, eventually: Eventually) -> Iterator[Clinic]:
    with clinic(create_app(settings, QUICK), eventually) as found:
        yield found


def test_the_first_event_says_that_nothing_is_known_yet(reader: TestClient) -> None:
    answer = reader.get(PATH, params={"wait": 0})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [one.data for one in parsed(answer.text.splitlines())] == [{"experiments": [], "deleted": [], "stale": True}]
    assert problem(reader.get(PATH, params={"wait": -1}), 422)["errors"][0]["field"] == "wait"


def test_an_experiment_is_told_from_its_making_to_its_end(live: Clinic, database: Database) -> None:
    listener, _ = live.listener()
    made = submit(live.client, seeds=[0])
    assert live.eventually(lambda: listener.states(made) == ["queued"])
    train_all(database, made)
    assert live.eventually(lambda: listener.states(made)[-1] == "succeeded")
    assert live.eventually(lambda: (now := listener.now(made)) is not None and now.verdict is not None)
    now = listener.now(made)
    assert now is not None
    shown = now.model_dump(mode="json")
    listed = live.client.get("/v1/experiments").json()["items"][0]
    assert shown == {name: listed[name] for name in shown}
    live.client.delete(made["links"]["self"])
    assert live.eventually(lambda: listener.deleted == {made["id"]})
    assert [told.stale for told in listener.told] == [True] + [False] * (len(listener.told) - 1)


def test_a_verdict_that_comes_after_the_end_is_told(live: Clinic, database: Database) -> None:
    """As a dispatcher finds it where no worker lived to compare."""
    made = submit(live.client, seeds=[0])
    train_all(database, made)
    with database.begin() as session:
        session.execute(update(Experiment).values(comparison=None, verdict=None))
    listener, _ = live.listener()
    with database.begin() as session:
        comparing.store_if_ended(session, uuid.UUID(made["id"]))
    assert live.eventually(lambda: (now := listener.now(made)) is not None and now.verdict is not None)


def test_progress_is_told_as_it_is(live: Clinic, database: Database) -> None:
    made = submit(live.client, seeds=[0])
    listener, _ = live.listener()
    lease, plan = claim(database, run_ids(database, made)[0])
    with database.begin() as session:
        assert runs.beat(session, lease, 60.0, step=plan.steps // 2)
        runs.events.tell_progress(session, lease.experiment_id, lease.run_id, 1.0, last=True)
    half = plan.steps // 2 / plan.steps
    assert live.eventually(lambda: (now := listener.now(made)) is not None and now.progress == half)


def test_owners_hear_their_own_and_what_is_shared_with_them(settings: Settings, eventually: Eventually) -> None:
    keyed = create_app(settings.model_copy(update={"api_key": SecretStr(KEY)}), QUICK)
    with clinic(keyed, eventually) as live:
        ada, bob, eve = (holder(live.client, who) for who in ("ada", "bob", "eve"))
        reads = holder(live.client, "eve", "read", reads=["ada"])
        admin, hers, his, shared = (
            live.listener(who)[0] for who in (holder(live.client, "root", "admin"), ada, bob, reads)
        )
        made: dict[str, str] = {}
        for name, headers in (("ada", ada), ("bob", bob), ("eve", eve)):
            answer = live.client.post("/v1/experiments", json=spec(), headers=headers).json()
            made[name] = answer["id"]
            # Also an end is told to those alone who could have seen what has ended.
            live.client.delete(answer["links"]["self"], headers=headers).raise_for_status()
        assert eventually(lambda: admin.deleted == set(made.values()))
        assert eventually(lambda: shared.deleted == {made["ada"], made["eve"]})
        assert eventually(lambda: hers.deleted == {made["ada"]} and his.deleted == {made["bob"]})
        assert (hers.ids, his.ids) == ({made["ada"]}, {made["bob"]})
        assert shared.ids == {made["ada"], made["eve"]}


def test_many_changes_at_once_are_one_event(settings: Settings, eventually: Eventually, database: Database) -> None:
    pace = Pace(sweep_s=NEVER_S, list_s=1.0)
    with clinic(create_app(settings, pace), eventually) as live:
        listener, _ = live.listener()
        batch = {"items": [spec() for _ in range(MOST_TOLD)]}
        items = live.client.post("/v1/experiments/batch", json=batch).json()["items"]
        assert eventually(lambda: len(listener.told) == 2)
        assert {one.id for one in listener.told[1].experiments} == {item["experiment"]["id"] for item in items}
        with database.begin() as session:
            runs.events.wake(session, [uuid.UUID(item["experiment"]["id"]) for item in items])
        submit(live.client)
        assert eventually(lambda: len(listener.told) == 3)
        assert (listener.told[2].experiments, listener.told[2].stale) == ([], True)


def test_what_may_have_been_missed_is_said(live: Clinic, database: Database, postgres_server: str) -> None:
    listener, ended = live.listener()
    name = make_url(database.url).database
    with psycopg.connect(postgres_server, autocommit=True) as outside:
        outside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN%%'",
            [name],
        )
    assert live.eventually(lambda: [told.stale for told in listener.told] == [True, True])
    assert not ended.done()


def test_a_stream_ends_with_its_key(settings: Settings, eventually: Eventually) -> None:
    keyed = create_app(settings.model_copy(update={"api_key": SecretStr(KEY)}), QUICK)
    with clinic(keyed, eventually) as live:
        key = live.client.post("/v1/keys", json={"owner": "ada", "name": "short", "scopes": ["read"]}, headers=_admin())
        _, ended = live.listener({"Authorization": f"Bearer {key.json()['key']}"})
        live.client.delete(key.json()["links"]["self"], headers=_admin())
        ended.result(SOON_S)


def _admin() -> Headers:
    return {"Authorization": f"Bearer {KEY}"}


def test_one_that_nobody_reads_is_closed(live: Clinic) -> None:
    with live.client.stream("GET", PATH) as response:
        lines = response.iter_lines()  # kept, as dropping it would close the connection
        assert next(lines)
        assert live.app.state.changes.waiting == 1
    assert live.eventually(lambda: live.app.state.changes.waiting == 0)
