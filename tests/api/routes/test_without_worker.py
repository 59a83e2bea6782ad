"""A queued experiment says that no worker is there, by what workers have said of themselves."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, func, update

from models.runs import seconds
from models.storage import presence
from models.storage.database import Database
from models.storage.worker_tables import Worker
from tests.api.made import Json, claim, run_ids, submit
from tests.eventually import HANGS_S
from tests.statements import sent_to


def there(database: Database, device: str, name: str = "host:1") -> None:
    with database.begin() as session:
        presence.renew(session, name, device)


def silent(database: Database) -> None:
    """No worker has said anything for a while."""
    long_ago = func.clock_timestamp() - seconds(presence.ABSENT_S + 1)
    with database.begin() as session:
        session.execute(update(Worker).values(seen_at=long_ago))


def waiting_for(client: TestClient, experiment: Json) -> str | None:
    """As it says itself, and as the list says of it."""
    own = client.get(experiment["links"]["self"]).json()["waiting_for"]
    (listed,) = [one for one in client.get("/v1/experiments").json()["items"] if one["id"] == experiment["id"]]
    assert listed["waiting_for"] == own
    return str(own) if own is not None else None


def test_without_a_worker_the_answer_to_a_submission_says_so(client: TestClient, database: Database) -> None:
    assert submit(client)["waiting_for"] == "worker"
    there(database, "cpu")
    assert submit(client)["waiting_for"] is None


@pytest.mark.parametrize(
    ("device", "has", "waits"),
    [
        ("auto", "cpu", None),
        ("auto", "gpu", None),
        ("cpu", "cpu", None),
        ("cpu", "gpu", "worker"),
        ("gpu", "cpu", "worker"),
        ("gpu", "gpu", None),
    ],
)
def test_a_worker_counts_where_it_has_the_device(
    client: TestClient, database: Database, device: str, has: str, waits: str | None
) -> None:
    experiment = submit(client, device=device)
    assert waiting_for(client, experiment) == "worker"
    there(database, has)
    assert waiting_for(client, experiment) == waits


def test_a_worker_that_has_ended_or_says_nothing_for_long_is_not_there(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    there(database, "cpu")
    silent(database)
    assert waiting_for(client, experiment) == "worker"
    there(database, "cpu")
    assert waiting_for(client, experiment) is None
    with database.begin() as session:
        presence.forget(session, "host:1")
    assert waiting_for(client, experiment) == "worker"


def test_workers_that_are_long_gone_leave_no_rows(database: Database) -> None:
    there(database, "cpu", "gone:1")
    silent(database)
    there(database, "gpu", "host:1")
    with database.begin() as session:
        assert [(row.name, row.device) for row in session.query(Worker)] == [("host:1", "gpu")]


def test_workers_that_come_back_at_once_wait_for_none_that_waits(database: Database) -> None:
    """As when the database was away: each finds all the others silent, and is at its second statement."""
    names = ("one:1", "two:1")
    for name in names:
        there(database, "cpu", name)
    silent(database)
    both = Barrier(2)

    def come_back(name: str) -> None:
        with database.begin() as session:
            firsts = iter([lambda: both.wait(HANGS_S)])
            event.listen(session.connection(), "after_cursor_execute", lambda *_: next(firsts, lambda: None)())
            presence.renew(session, name, "cpu")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(come_back, names))
    with database.begin() as session:
        assert sorted(row.name for row in session.query(Worker)) == list(names)


def test_what_may_not_begin_yet_waits_for_its_time_and_what_trains_for_nothing(
    client: TestClient, database: Database
) -> None:
    assert waiting_for(client, submit(client, not_before="2099-01-01T00:00:00Z")) is None
    experiment = submit(client)
    assert waiting_for(client, experiment) == "worker"
    claim(database, run_ids(database, experiment)[0])
    assert waiting_for(client, experiment) is None
    cancelled = submit(client)
    client.post(cancelled["links"]["cancel"])
    assert waiting_for(client, cancelled) is None


def test_only_of_what_is_queued_it_is_asked_and_once_for_all(
    app: FastAPI, client: TestClient, database: Database
) -> None:
    def statements() -> int:
        with sent_to(app.state.database) as sent:
            client.get("/v1/experiments")
        return len(sent)

    first = submit(client, seeds=[0])
    of_one = statements()
    others = [submit(client, seeds=[0]) for _ in range(3)]
    assert statements() == of_one
    for one in (first, *others):
        claim(database, run_ids(database, one)[0])
    assert statements() == of_one - 1
