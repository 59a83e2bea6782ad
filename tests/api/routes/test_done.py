"""Whether an experiment is done, as schedulers ask: by the status alone, and Airflow's triggerer by a 404."""

import math
import time
import uuid

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, update

from models import runs
from models.storage.database import Database
from models.storage.tables import Experiment
from tests.api.made import Json, claim, problem, run_ids, submit, train_all


def asked(client: TestClient, experiment: Json, **params: int) -> httpx2.Response:
    return client.get(experiment["links"]["done"], params=params)


def began(database: Database, experiment: Json, seconds_ago: float, step: int) -> None:
    """Its first run is so far, and the experiment began so long ago."""
    lease, _ = claim(database, run_ids(database, experiment)[0])
    with database.begin() as session:
        assert runs.beat(session, lease, 60.0, step=step)
        begun = Experiment.started_at - runs.seconds(seconds_ago)
        session.execute(update(Experiment).where(Experiment.id == lease.experiment_id).values(started_at=begun))


def test_while_it_waits_the_answer_is_202_and_says_when_to_ask_again(client: TestClient) -> None:
    answer = asked(client, submit(client))
    assert (answer.status_code, answer.headers["Retry-After"], answer.headers["Cache-Control"]) == (
        202,
        "5",
        "no-store",
    )
    body = answer.json()
    assert (body["done"], body["state"], body["progress"], body["estimated_seconds_left"]) == (False, "queued", 0, None)
    assert body["runs"]["queued"] == 2


@pytest.mark.parametrize(("seconds_ago", "step", "times_more"), [(10.0, 2, 3.0), (1_000.0, 1, 7.0)])
def test_while_it_runs_its_pace_says_how_long(
    client: TestClient, database: Database, seconds_ago: float, step: int, times_more: float
) -> None:
    """Two runs of four steps: a step is an eighth of it. However long it takes to ask is time that has gone by too."""
    experiment, start = submit(client), time.monotonic()
    began(database, experiment, seconds_ago, step)
    answer = asked(client, experiment)
    assert answer.status_code == 202
    left_s, most_ago = answer.json()["estimated_seconds_left"], seconds_ago + time.monotonic() - start
    assert seconds_ago * times_more <= left_s <= most_ago * times_more
    assert answer.headers["Retry-After"] == str(min(math.ceil(left_s), 60))


@pytest.mark.parametrize(("latest_s", "most"), [(30.0, 30), (-1.0, 1)])
def test_nobody_is_asked_to_come_back_after_the_latest_end(
    client: TestClient, database: Database, latest_s: float, most: int
) -> None:
    experiment = submit(client)
    began(database, experiment, 1_000.0, 1)
    end = update(Experiment).where(Experiment.id == uuid.UUID(experiment["id"]))
    with database.begin() as session:
        session.execute(end.values(end_before=func.clock_timestamp() + runs.seconds(latest_s)))
    assert 1 <= int(asked(client, experiment).headers["Retry-After"]) <= most


def test_every_final_state_is_a_200(client: TestClient, database: Database) -> None:
    cancelled, failed, succeeded = (submit(client) for _ in range(3))
    with database.begin() as session:
        runs.cancel(session, uuid.UUID(cancelled["id"]))
        session.execute(
            update(Experiment)
            .where(Experiment.id == uuid.UUID(failed["id"]))
            .values(start_before=Experiment.created_at)
        )
        runs.expire(session)
    train_all(database, succeeded)
    for state, experiment in (("cancelled", cancelled), ("failed", failed), ("succeeded", succeeded)):
        for pending in (202, 404):
            answer = asked(client, experiment, pending=pending)
            assert (answer.status_code, answer.json()["state"], answer.json()["done"]) == (200, state, True)
            assert "Retry-After" not in answer.headers
    body = asked(client, succeeded).json()
    assert (body["outcomes"], body["estimated_seconds_left"]) == ({"finished": 2, "diverged": 0}, 0)
    assert body["verdict"] == client.get(body["links"]["experiment"]).json()["verdict"] is not None
    assert client.get(body["links"]["comparison"]).status_code == 200


def test_airflows_triggerer_is_told_by_a_404(client: TestClient) -> None:
    """It waits while the text of the error begins with 404, and ends at any other status."""
    answer = asked(client, submit(client), pending=404)
    assert "queued (0%)" in problem(answer, 404)["detail"]
    assert answer.headers["Retry-After"] == "5"


def test_other_questions_are_refused(client: TestClient) -> None:
    assert problem(asked(client, submit(client), pending=500), 422)["errors"][0]["allowed"] == ["202", "404"]
    assert problem(client.get(f"/v1/experiments/{uuid.uuid4()}/done"), 404)


def test_a_done_experiment_is_not_sent_again_and_head_says_as_much(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0])
    path = experiment["links"]["done"]
    assert client.head(path).status_code == 202
    assert "ETag" not in client.get(path).headers
    train_all(database, experiment)
    answer, head = client.get(path), client.head(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
