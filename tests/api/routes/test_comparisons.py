"""The comparison: live while runs are missing, the stored one after the end."""

import json
import uuid

from fastapi.testclient import TestClient
from sqlalchemy import update

from models.database import Database
from models.tables import Experiment
from tests.api.made import run_ids, submit, train, train_all


def test_a_comparison_can_be_read_before_any_run_has_ended(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    empty = client.get(experiment["links"]["comparison"]).json()
    assert empty["experiment_id"] == experiment["id"]
    assert [variant["name"] for variant in empty["variants"]] == ["baseline", "batch_norm"]
    assert [variant["verdict"] for variant in empty["variants"]] == [None, None]
    train(database, run_ids(database, experiment)[0])
    partial = client.get(experiment["links"]["comparison"]).json()
    assert partial["variants"][0]["runs"]["succeeded"] == 1
    assert partial["variants"][0]["verdict"]["seeds"]
    assert any("missing" in note for note in partial["notes"])


def test_after_the_end_the_stored_comparison_is_answered(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    train_all(database, experiment, gains=(-0.5, -0.6, -0.7))
    path = experiment["links"]["comparison"]
    comparison = client.get(path).json()
    assert comparison["variants"][1]["versus_baseline"]["layers"]
    assert comparison["variants"][0]["versus_baseline"] is None
    assert comparison["variants"][0]["gradient"]["at_start"]["total_gain"]["n"] == 2
    with database.begin() as session:
        marked = comparison | {"notes": ["from the row"]}
        where = Experiment.id == uuid.UUID(experiment["id"])
        session.execute(update(Experiment).where(where).values(comparison=marked))
    assert client.get(path).json() == marked


def test_an_unchanged_comparison_is_not_sent_again(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    path = experiment["links"]["comparison"]
    live = client.get(path).headers["etag"]
    assert client.get(path, headers={"If-None-Match": live}).status_code == 304
    train_all(database, experiment)
    stored = client.get(path, headers={"If-None-Match": live})
    assert stored.status_code == 200
    again = client.get(path, headers={"If-None-Match": stored.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_no_number_of_a_comparison_is_nan(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0], remedies=[{"kind": "batch_norm"}])
    first, second = run_ids(database, experiment)
    train(database, first, gain=float("inf"), outcome="diverged", step_seconds=float("nan"))
    train(database, second, step_seconds=float("nan"), test_metric=float("nan"))
    text = client.get(experiment["links"]["comparison"]).text
    json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name)))
