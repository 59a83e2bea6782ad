"""Looking and waiting: entity tags, waking, what must not be missed, and who must not be kept waiting."""

import asyncio
import socket
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, text

from api.routes import experiments
from api.server import Server
from models import runs
from models.storage.database import Database
from tests.api.made import Json, problem, spec, submit, train_all

Eventually = Callable[[Callable[[], bool]], bool]
SOON_S = 60.0


@pytest.fixture(autouse=True)
def listening(request: pytest.FixtureRequest, eventually: Eventually) -> None:
    """Until the connection is there everybody is woken once, which could hide that nothing else wakes them."""
    served = {"client", "address"} & set(request.fixturenames)
    if served:
        request.getfixturevalue(served.pop())
        assert eventually(request.getfixturevalue("app").state.changes.listening.is_set)


def etag_of(client: TestClient, experiment: Json) -> str:
    return str(client.get(experiment["links"]["self"]).headers["etag"])


def waiting_get(client: TestClient, experiment: Json, etag: str, wait: str = "30") -> Future[httpx2.Response]:
    """The answer to come."""
    headers = {"If-None-Match": etag} if etag else {}
    answer: Future[httpx2.Response] = Future()

    def ask() -> None:
        answer.set_result(client.get(experiment["links"]["self"], params={"wait": wait}, headers=headers))

    # A daemon: where a test fails because nothing wakes it, it must not hold up the end of all tests.
    threading.Thread(target=ask, daemon=True).start()
    return answer


def change(database: Database, experiment: Json) -> None:
    with database.begin() as session:
        runs.cancel(session, uuid.UUID(experiment["id"]))


def test_an_unchanged_experiment_is_not_sent_again(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    path, etag = experiment["links"]["self"], etag_of(client, experiment)
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(path, headers={"If-None-Match": tags})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), tags
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    change(database, experiment)
    assert client.get(path, headers={"If-None-Match": etag}).json()["state"] == "cancelled"


@pytest.mark.parametrize("with_tag", [True, False])
def test_who_waits_is_answered_at_the_change(
    app: FastAPI, client: TestClient, database: Database, eventually: Eventually, *, with_tag: bool
) -> None:
    experiment = submit(client)
    answer = waiting_get(client, experiment, etag_of(client, experiment) if with_tag else "")
    assert eventually(lambda: app.state.changes.waiting == 1)
    change(database, experiment)
    assert answer.result(SOON_S).json()["state"] == "cancelled"


def test_a_change_before_the_wait_is_answered_at_once(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    etag = etag_of(client, experiment)
    change(database, experiment)
    assert waiting_get(client, experiment, etag).result(SOON_S).json()["state"] == "cancelled"


def test_a_change_between_the_look_and_the_wait_is_not_missed(
    app: FastAPI, client: TestClient, database: Database, eventually: Eventually
) -> None:
    experiment = submit(client)
    etag = etag_of(client, experiment)
    changed: list[bool] = []
    waiting_now = app.state.changes._waiting  # noqa: SLF001

    def change_once(_: object) -> None:
        # The look has read its rows and not yet returned: its answer is old, and the news is there before it.
        if not changed:
            changed.append(True)
            change(database, experiment)
            assert eventually(lambda: all(event.is_set() for event in waiting_now[experiment["id"]]))

    event.listen(app.state.database.engine, "commit", change_once)
    assert waiting_get(client, experiment, etag).result(SOON_S).json()["state"] == "cancelled"


def test_a_lost_connection_loses_no_change(
    app: FastAPI, client: TestClient, database: Database, eventually: Eventually
) -> None:
    experiment = submit(client)
    answer = waiting_get(client, experiment, etag_of(client, experiment))
    assert eventually(lambda: app.state.changes.waiting == 1)
    with database.begin() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        )
    change(database, experiment)
    assert answer.result(SOON_S).json()["state"] == "cancelled"


def test_after_the_time_the_answer_is_that_nothing_is_new(client: TestClient) -> None:
    experiment = submit(client)
    assert waiting_get(client, experiment, etag_of(client, experiment), "0.2").result(SOON_S).status_code == 304
    assert waiting_get(client, experiment, "", "0.2").result(SOON_S).status_code == 200


def test_an_experiment_that_has_ended_keeps_nobody(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    train_all(database, experiment)
    assert waiting_get(client, experiment, etag_of(client, experiment)).result(SOON_S).status_code == 304


def test_nobody_waits_longer_than_the_longest_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = submit(client)
    monkeypatch.setattr(experiments, "LONGEST_WAIT_S", 0.2)  # a minute otherwise
    for wait in ("1000000", "inf"):
        assert waiting_get(client, experiment, "*", wait).result(SOON_S).status_code == 304


@pytest.mark.parametrize("wait", ["-1", "nan", "soon", "1e999x"])
def test_a_time_that_cannot_be_is_refused(reader: TestClient, wait: str) -> None:
    refused = problem(reader.get(f"/v1/experiments/{uuid.uuid4()}", params={"wait": wait}), 422)
    assert refused["errors"][0]["field"] == "wait"


def test_deleting_ends_the_wait(app: FastAPI, client: TestClient, eventually: Eventually) -> None:
    experiment = submit(client)
    answer = waiting_get(client, experiment, etag_of(client, experiment))
    assert eventually(lambda: app.state.changes.waiting == 1)
    client.delete(experiment["links"]["self"])
    problem(answer.result(SOON_S), 404)
    assert app.state.changes.waiting == 0


def test_a_client_that_has_gone_is_not_waited_for(app: FastAPI, address: str, eventually: Eventually) -> None:
    with httpx2.Client(base_url=address, trust_env=False) as client:
        experiment = submit(client)
    host, port = urlsplit(address).hostname, urlsplit(address).port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"GET {experiment['links']['self']}?wait=60 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert eventually(lambda: app.state.changes.waiting == 1)
    assert eventually(lambda: app.state.changes.waiting == 0)


def test_a_hundred_who_wait_keep_nobody_else_waiting(
    app: FastAPI, address: str, database: Database, eventually: Eventually
) -> None:
    async def all_of_it() -> list[str]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=address, trust_env=False, limits=limits, timeout=60) as client:
            experiment = (await client.post("/v1/experiments", json=spec())).json()
            path = experiment["links"]["self"]
            waiters = [asyncio.create_task(client.get(path, params={"wait": 50})) for _ in range(100)]
            assert await asyncio.to_thread(eventually, lambda: app.state.changes.waiting == 100)
            # More than the pool has threads, and more than it has connections.
            others = await asyncio.gather(*(client.get("/v1/experiments") for _ in range(10)))
            assert [other.status_code for other in others] == [200] * 10
            assert not any(waiter.done() for waiter in waiters)
            change(database, experiment)
            return [answer.json()["state"] for answer in await asyncio.gather(*waiters)]

    assert asyncio.run(all_of_it()) == ["cancelled"] * 100


def test_a_server_that_ends_sends_home_who_waits(app: FastAPI, eventually: Eventually) -> None:
    server = Server(app, "127.0.0.1", 0)
    with ThreadPoolExecutor(2) as pool:
        served = pool.submit(server.run)
        assert eventually(lambda: server.started)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx2.Client(base_url=address, trust_env=False, timeout=SOON_S) as client:
            experiment = submit(client)
            answer = pool.submit(client.get, experiment["links"]["self"], params={"wait": 50})
            assert eventually(lambda: app.state.changes.waiting == 1)
            server.should_exit = True
            assert answer.result(SOON_S).status_code == 200
        served.result(SOON_S)
