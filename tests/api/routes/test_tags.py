"""Entity tags of traces and curves: the same as long as the answer is, and an unchanged answer is not made again."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, func, update

from api.http.negotiation import ARROW, CSV, JSON, PARQUET
from models import runs
from models.runs import Lease
from models.storage.database import Database
from models.storage.tables import Run
from tests.api.made import claim, finish, run_ids, submit, values, write

PATHS = ("trace?signal=weight_norm", "curves")


def tags(client: TestClient, run_id: uuid.UUID) -> dict[tuple[str, str], str]:
    found = {}
    for path in PATHS:
        for kind in (JSON, CSV, ARROW, PARQUET):
            response = client.get(f"/v1/runs/{run_id}/{path}", headers={"Accept": kind})
            assert response.headers["vary"] == "Accept"
            found[path, kind] = response.headers["etag"]
    return found


@contextmanager
def tables_read(app: FastAPI) -> Iterator[set[str]]:
    """Which tables the API asks meanwhile."""
    seen: set[str] = set()

    def note(*given: Any) -> None:
        seen.update(name for name in ("trace_chunk", "curve_chunk", "trace_rollup", "curve_rollup") if name in given[2])

    engine = app.state.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_an_answer_that_the_client_has_is_not_sent_and_costs_no_reading(
    app: FastAPI, client: TestClient, database: Database
) -> None:
    run_id = run_ids(database, submit(client, steps=600))[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, values(plan, 0.0))
    for (path, kind), etag in tags(client, run_id).items():
        with tables_read(app) as seen:
            headers = {"Accept": kind, "If-None-Match": etag}
            again = client.get(f"/v1/runs/{run_id}/{path}", headers=headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["vary"] == "Accept"
        assert not seen
        with tables_read(app) as seen:
            assert client.get(f"/v1/runs/{run_id}/{path}", headers={"Accept": kind}).status_code == 200
        assert seen


def test_every_question_and_every_type_has_a_tag_of_its_own(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    asked = ["signal=weight_norm", "signal=update_ratio", "signal=weight_norm&points=3", "signal=weight_norm&from=1",
             "signal=weight_norm&to=2", "signal=weight_norm&layers=1", "signal=weight_norm&axis=time"]  # fmt: skip
    found = [client.get(f"/v1/runs/{run_id}/trace?{one}").headers["etag"] for one in asked]
    found += tags(client, run_id).values()
    assert len(set(found)) == len(found) - 1  # the first question is asked twice
    other = run_ids(database, submit(client))[0]
    assert not set(tags(client, other).values()) & set(found)


def go_on(database: Database, lease: Lease) -> None:
    with database.begin() as session:
        assert runs.beat(session, lease, 60.0, step=5)


def fail(database: Database, lease: Lease) -> None:
    with database.begin() as session:
        assert runs.fail(session, lease, {"detail": "too wide"})


def retry(database: Database, lease: Lease) -> None:
    fail(database, lease)
    with database.begin() as session:
        runs.retry(session, lease.experiment_id)
        session.execute(update(Run).where(Run.id == lease.run_id).values(step=1))
    _, plan = claim(database, lease.run_id)
    assert plan.steps == 600


def drop(database: Database, lease: Lease) -> None:
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == lease.run_id).values(raw_dropped_at=func.clock_timestamp()))


@pytest.mark.parametrize("change", [go_on, fail, retry, drop])
def test_a_tag_changes_when_the_run_does(
    client: TestClient, database: Database, change: Callable[[Database, Lease], None]
) -> None:
    run_id = run_ids(database, submit(client, steps=600))[0]
    lease, _ = claim(database, run_id)
    before = client.get(f"/v1/runs/{run_id}/curves").headers["etag"]
    change(database, lease)
    answer = client.get(f"/v1/runs/{run_id}/curves", headers={"If-None-Match": before})
    assert answer.status_code == 200
    assert answer.headers["etag"] != before


def test_a_run_that_ends_has_another_tag(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, values(plan, 0.0), ended=True)
    before = tags(client, run_id)
    finish(database, lease, plan)
    after = tags(client, run_id)
    assert not set(before.values()) & set(after.values())
    assert tags(client, run_id) == after
