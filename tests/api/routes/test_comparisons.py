"""The comparison: live while runs are missing, the stored one after the end."""

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, select, update

from gradient_clinic.verdict.shapes import RULES
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from models.storage.trace_tables import TraceChunk
from tests.api.made import problem, run_ids, submit, train, train_all


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
    assert partial["answer"].startswith("So far (1 of 4 runs): ")


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


def test_in_brief_a_comparison_is_five_lines_of_text(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    path = experiment["links"]["comparison"]
    early = client.get(path, params={"brief": 1}).text
    assert early.startswith("So far (0 of 4 runs): no run of the baseline has ended")
    assert "batch_norm not run yet" in early
    train_all(database, experiment, gains=(-0.5, -0.6, -0.7))
    brief = client.get(path, params={"brief": "true"})
    assert brief.headers["content-type"] == "text/plain; charset=utf-8"
    first, *others = brief.text.splitlines()
    assert client.get(path).json()["answer"].startswith(first)
    assert not first.startswith("So far")
    assert [line.split(":")[0] for line in others] == ["Found", "Why", "Variants", "Under"]
    assert client.get(path, params={"brief": "perhaps"}).status_code == 422


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


def compared(client: TestClient, *experiments: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/comparisons", json={"experiment_ids": [one["id"] for one in experiments]})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_several_experiments_are_compared_with_the_baseline_of_the_first(
    client: TestClient, database: Database
) -> None:
    shallow = submit(client, name="shallow", remedies=[{"kind": "batch_norm"}])
    deep = submit(client, name="deep", network={"kind": "mlp", "depth": 6, "width": 8}, seeds=[1, 2])
    train_all(database, shallow, gains=(-0.5, -0.6, -0.7))
    train_all(database, deep, gains=(-2.5,))
    answer = compared(client, shallow, deep)
    assert [(part["experiment_id"], part["name"]) for part in answer["variants"]] == [
        (shallow["id"], "baseline"),
        (shallow["id"], "batch_norm"),
        (deep["id"], "baseline"),
    ]
    assert answer["experiment_id"] == shallow["id"]
    first, _, last = answer["variants"]
    assert first["versus_baseline"] is None
    # Seed 1 alone is in both.
    assert last["versus_baseline"]["success_difference"]["n"] == 1
    assert f"{deep['id']} (deep) has network.depth 6 instead of 4" in answer["notes"]
    assert any("shallow" in note and "compared with the baseline" in note for note in answer["notes"])


def test_one_experiment_compared_alone_is_its_comparison(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    train_all(database, experiment)
    assert compared(client, experiment, experiment) == client.get(experiment["links"]["comparison"]).json()


def test_experiments_on_other_data_do_not_compare(client: TestClient) -> None:
    one, other = submit(client), submit(client, dataset={"kind": "digits", "test_fraction": 0.3})
    refused = problem(client.post("/v1/comparisons", json={"experiment_ids": [one["id"], other["id"]]}), 422)
    assert (refused["errors"][0]["field"], refused["errors"][0]["value"]) == ("experiment_ids", other["id"])
    problem(client.post("/v1/comparisons", json={"experiment_ids": [one["id"], str(uuid.uuid4())]}), 404)
    problem(client.post("/v1/comparisons", json={"experiment_ids": []}), 422)


@pytest.mark.parametrize("dropped", [False, True])
def test_stored_traces_are_judged_again(client: TestClient, database: Database, dropped: bool) -> None:  # noqa: FBT001 -- a parameter
    experiment = submit(client, seeds=[0])
    train_all(database, experiment, gains=(-5.0,))
    path = experiment["links"]["comparison"]
    right = client.get(path).json()
    assert right["variants"][0]["verdict"]["kind"] == "vanishing"
    with database.begin() as session:
        run = session.execute(select(Run)).scalar_one()
        assert run.summary is not None
        verdict = replace(run.summary.verdict, kind="slow", rules="0")
        dropped_at = Run.ended_at if dropped else None
        session.execute(update(Run).values(summary=replace(run.summary, verdict=verdict), raw_dropped_at=dropped_at))
        session.execute(update(Experiment).values(comparison=right | {"notes": ["old"]}, verdict="slow"))
        if dropped:
            session.execute(delete(TraceChunk))
    answer = client.post(f"{experiment['links']['self']}/judge").json()
    (judged,) = answer.pop("runs")
    assert answer == {"rules": RULES}
    assert (judged["before"], judged["after"], judged["measured_again"]) == ("slow", "vanishing", not dropped)
    assert client.get(path).json() == right
    assert client.get("/v1/experiments", params={"verdict": "slow"}).json()["items"] == []


def test_where_nothing_has_succeeded_there_is_nothing_to_judge(client: TestClient) -> None:
    experiment = submit(client)
    assert "nothing to judge" in problem(client.post(f"{experiment['links']['self']}/judge"), 409)["detail"]


def test_lists_are_filtered_by_verdict(client: TestClient, database: Database) -> None:
    sick, running = submit(client, remedies=[{"kind": "batch_norm"}]), submit(client)
    train_all(database, sick, gains=(-5.0, -0.1))
    (found,) = client.get("/v1/experiments", params={"verdict": "vanishing"}).json()["items"]
    assert (found["id"], found["verdict"]) == (sick["id"], "vanishing")
    assert client.get(running["links"]["self"]).json()["verdict"] is None
    assert client.get("/v1/experiments", params={"verdict": "healthy"}).json()["items"] == []
    problem(client.get("/v1/experiments", params={"verdict": "ill"}), 422)
    path = sick["links"]["runs"]
    for wanted, variants in (("vanishing", ["baseline"] * 2), ("stalled", ["batch_norm"] * 2), ("exploding", [])):
        runs = client.get(path, params={"verdict": wanted}).json()["items"]
        assert [run["variant"] for run in runs] == variants
    assert len(client.get(path, params={"phase": "trial", "variant": "baseline"}).json()["items"]) == 2
    assert client.get(path, params={"phase": "tune"}).json()["items"] == []
    assert client.get(path, params={"state": "failed"}).json()["items"] == []
