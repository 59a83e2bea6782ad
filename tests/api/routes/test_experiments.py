"""Submitting, listing, cancelling, deleting."""

import json
import uuid
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from api.examples import SPEC_EXAMPLES
from models import runs
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.api.made import Json, claim, problem, run_ids, spec, submit, train, train_all
from tests.statements import sent_to

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLES = [json.loads(path.read_text()) for path in sorted((ROOT / "examples").glob("*.json"))]
KEYS = {
    "id", "name", "state", "progress", "runs", "waiting_for", "owner", "labels", "source", "spec", "suggested",
    "suggested_from",
    "created_at", "started_at", "ended_at", "verdict", "links",
}  # fmt: skip


def stored(database: Database) -> int:
    with database.begin() as session:
        return session.execute(select(func.count()).select_from(Experiment)).scalar_one()


def owned_by(database: Database, owner: str) -> str:
    """The id of an experiment of somebody else."""
    asked = ExperimentSpec.model_validate(spec())
    with database.begin() as session:
        return str(runs.submit(session, asked, expand(asked), owner))


def test_submitting_answers_202_with_the_place_and_every_default(client: TestClient) -> None:
    response = client.post("/v1/experiments", json=spec(labels={"team": "vision"}, remedies=[{"kind": "l2"}]))
    assert response.status_code == 202
    body = response.json()
    assert set(body) == KEYS
    assert response.headers["location"] == body["links"]["self"] == f"/v1/experiments/{body['id']}"
    assert (body["state"], body["progress"], body["owner"]) == ("queued", 0.0, "local")
    assert body["runs"] == {"queued": 4, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    assert (body["started_at"], body["ended_at"]) == (None, None)
    assert body["created_at"].endswith("Z")
    assert body["labels"] == {"team": "vision"}
    assert body["spec"]["remedies"] == [{"kind": "l2", "strength": 1e-4, "layers": "hidden"}]
    assert body["spec"]["dataset"]["test_fraction"] == 0.2
    assert body["spec"]["stop_when"] == {"nonfinite_steps": 20, "loss_above": None}
    assert uuid.UUID(body["id"]).version == 7


def test_every_link_of_an_experiment_and_of_a_run_leads_somewhere(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    train_all(database, experiment)
    run = client.get(experiment["links"]["runs"]).json()["items"][0]
    gets = [*experiment["links"].values(), *run["links"].values()]
    for link in gets:
        wanted = 405 if link.endswith("/cancel") else 200
        params = {"signal": "weight_norm"} if link.endswith("/trace") else {}
        assert client.get(link, params=params).status_code == wanted, link


def test_every_spec_we_show_can_be_submitted(client: TestClient) -> None:
    for body in [*EXAMPLES, *(example["value"] for example in SPEC_EXAMPLES.values())]:
        response = client.post("/v1/experiments", json=body)
        assert response.status_code == 202, response.text


def test_the_answered_spec_can_be_submitted_again_and_means_the_same(client: TestClient) -> None:
    first = submit(client, seeds={"count": 2, "first": 7}, remedies=[{"kind": "batch_norm"}])
    again = client.post("/v1/experiments", json=first["spec"])
    assert again.status_code == 202
    assert again.json()["spec"] == first["spec"]


def test_a_thousand_variants_of_a_thousand_layers_are_refused_at_once(client: TestClient, database: Database) -> None:
    arms = [{"name": f"v{index}", "remedies": []} for index in range(1_000)]
    network = {"kind": "mlp", "depth": 1_000, "width": 8}
    for path in ("/v1/experiments", "/v1/experiments/validate"):
        refused = problem(client.post(path, json=spec(variants=arms, network=network, seeds=[0])), 422)
        assert refused["errors"][0]["field"] == "variants"
        assert "20,000" in refused["errors"][0]["allowed"]
    assert stored(database) == 0


def test_all_pages_together_hold_every_experiment_once_newest_first(client: TestClient) -> None:
    made = [submit(client, name=str(index))["id"] for index in range(5)]
    seen, token, pages = [], "", 0
    while token or not pages:
        page = client.get("/v1/experiments", params={"page_size": 2, "page_token": token}).json()
        seen += [item["id"] for item in page["items"]]
        token, pages = page["next_page_token"], pages + 1
    assert seen == made[::-1]
    assert pages == 3


def test_a_page_that_is_just_full_is_the_last(client: TestClient) -> None:
    submit(client)
    page = client.get("/v1/experiments", params={"page_size": 1}).json()
    assert (len(page["items"]), page["next_page_token"]) == (1, "")


def test_a_larger_page_than_there_is_counts_as_the_largest(client: TestClient, database: Database) -> None:
    asked = ExperimentSpec.model_validate(spec(seeds=[0]))
    with database.begin() as session:
        for _ in range(101):
            runs.submit(session, asked, expand(asked), "local")
    page = client.get("/v1/experiments", params={"page_size": 10**6}).json()
    assert len(page["items"]) == 100
    assert len(client.get("/v1/experiments").json()["items"]) == 50


def test_a_token_of_no_page_is_refused(client: TestClient) -> None:
    far = "MTIzNDU2Nzg5MDEyMw"  # the position 1234567890123, which no run can have
    for path in ("/v1/experiments", submit(client)["links"]["runs"]):
        for token in ("x", "!!", "\x00", "AAAA", far, "é", "a" * 1500, "a" * 1501):
            refused = problem(client.get(path, params={"page_token": token}), 422)
            assert refused["errors"][0]["field"] == "page_token", token


def test_filters_by_state_labels_time_and_owner(client: TestClient, database: Database) -> None:
    old = submit(client, labels={"team": "vision", "year": "2026"})
    new = submit(client, labels={"team": "speech"})
    train_all(database, old)

    def found(**params: str | list[str]) -> list[str]:
        return [item["id"] for item in client.get("/v1/experiments", params=params).json()["items"]]

    assert found(state="succeeded") == [old["id"]]
    assert found(state="queued") == [new["id"]]
    assert found(label="team:speech") == [new["id"]]
    assert found(label=["team:vision", "year:2026"]) == [old["id"]]
    assert found(label=["team:vision", "year:2025"]) == []
    assert found(label=["team:vision", "team:speech"]) == []
    assert found(created_after=old["created_at"]) == [new["id"]]
    assert found(created_before=new["created_at"]) == [old["id"]]
    assert found(owner="local") == [new["id"], old["id"]]
    assert found(owner="somebody") == []


def test_part_of_a_name_finds_it_and_nothing_in_it_is_a_pattern(client: TestClient) -> None:
    for name in ("Deep Sigmoid", "deep_relu", "100% dead"):
        submit(client, name=name)

    def found(text: str) -> list[str]:
        answer = client.get("/v1/experiments", params={"search": text})
        return [item["name"] for item in answer.json()["items"]]

    assert found("DEEP") == ["deep_relu", "Deep Sigmoid"]
    assert found("deep_") == ["deep_relu"]
    assert found("%") == ["100% dead"]
    assert found("nothing") == []
    assert client.get("/v1/experiments", params={"search": ""}).status_code == 422


def test_labels_with_colons_are_found(client: TestClient) -> None:
    made = submit(client, labels={"team:vision": "a:b", "plain": "c"})
    submit(client, labels={"team": "other"})
    for label in ("team:vision:a:b", "plain:c"):
        assert [one["id"] for one in client.get("/v1/experiments", params={"label": label}).json()["items"]] == [
            made["id"]
        ], label
    for label in ("team:vision", "team:vision:a", "plain:c:", ":plain:c"):
        assert client.get("/v1/experiments", params={"label": label}).json()["items"] == [], label


def test_names_and_labels_without_plain_text_are_refused(reader: TestClient) -> None:
    for bad in ("two\nlines", "\x1b[31m", "\x7f", "\x9b", "a\u202eb", "a\u2028b", "\u2066"):
        for changes, field in (
            ({"name": bad}, "name"),
            ({"variants": [{"name": bad, "remedies": []}]}, "variants[0].name"),
            ({"labels": {"team": bad}}, "labels.team"),
            ({"labels": {bad: "vision"}}, "labels"),
        ):
            refused = problem(reader.post("/v1/experiments", json=spec(**changes)), 422)
            assert [one["field"] for one in refused["errors"]] == [field], bad
        for params in ({"owner": bad}, {"label": f"team:{bad}"}):
            problem(reader.get("/v1/experiments", params=params), 422)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"state": "done"}, "state"),
        ({"created_after": "1767225600"}, "created_after"),
        ({"created_after": "2026-01-01"}, "created_after"),
        ({"created_before": "2026-01-01 00:00:00Z"}, "created_before"),
        ({"colour": "red"}, "colour"),
        ({"label": "team"}, "label"),
        ({"label": "a:\x00"}, "label"),
        ({"owner": "\x00"}, "owner"),
        ({"page_size": 0}, "page_size"),
        ({"page_size": "9" * 5000}, "page_size"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_after": "2026-01-01T00:00:00"}, "created_after"),
        ({"created_before": "9999-12-31T23:59:59-14:00"}, "created_before"),
    ],
)
def test_a_filter_that_cannot_be_is_named(reader: TestClient, params: Json, field: str) -> None:
    refused = problem(reader.get("/v1/experiments", params=params), 422)
    assert [one["field"] for one in refused["errors"]] == [field]


def test_a_list_takes_as_many_statements_for_many_experiments_as_for_one(
    app: FastAPI, client: TestClient, database: Database
) -> None:
    def statements(experiment: Json) -> list[int]:
        numbers = []
        for path in ("/v1/experiments", experiment["links"]["runs"], f"{experiment['links']['runs']}/brief"):
            with sent_to(app.state.database) as sent:
                assert client.get(path).json()["items"]
            numbers.append(len(sent))
        return numbers

    one = submit(client, seeds=[0])
    train_all(database, one)
    cost_of_one = statements(one)
    many = [submit(client, seeds=[0, 1, 2]) for _ in range(5)]
    train_all(database, many[0])
    assert statements(many[0]) == [cost_of_one[0] + 1, *cost_of_one[1:]] == [3, 3, 2]  # one more of what is queued


def test_progress_is_the_share_of_all_steps(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    first, second = run_ids(database, experiment)
    train(database, first)
    lease, _ = claim(database, second)
    with database.begin() as session:
        runs.beat(session, lease, 60.0, step=2)
    seen = client.get(experiment["links"]["self"]).json()
    assert (seen["state"], seen["progress"]) == ("running", 0.75)
    assert (seen["runs"]["succeeded"], seen["runs"]["running"]) == (1, 1)


def test_another_owners_experiments_do_not_exist(client: TestClient, database: Database) -> None:
    theirs = owned_by(database, "somebody")
    path = f"/v1/experiments/{theirs}"
    run_id = run_ids(database, {"id": theirs})[0]
    for asked in ("", "/runs", "/comparison", "?wait=5"):
        problem(client.get(path + asked), 404)
    for asked in ("", "/curves", "/diagnosis", "/trace?signal=weight_norm"):
        problem(client.get(f"/v1/runs/{run_id}{asked}"), 404)
    problem(client.post(f"{path}/cancel"), 404)
    problem(client.delete(path), 404)
    assert client.get("/v1/experiments", params={"owner": "somebody"}).json()["items"] == []
    assert stored(database) == 1


def test_cancelling_ends_what_waits_and_may_be_repeated(client: TestClient) -> None:
    experiment = submit(client)
    first = client.post(experiment["links"]["cancel"])
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    assert first.json()["runs"]["cancelled"] == 2
    again = client.post(experiment["links"]["cancel"])
    assert (again.status_code, again.json()) == (202, first.json())


def test_cancelling_leaves_a_running_run_to_its_worker(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    lease, _ = claim(database, run_ids(database, experiment)[0])
    answer = client.post(experiment["links"]["cancel"])
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    with database.begin() as session:
        assert runs.cancel_requested(session, lease)
        runs.stop(session, lease)
    assert client.get(experiment["links"]["self"]).json()["state"] == "cancelled"


def test_what_has_ended_otherwise_cannot_be_cancelled(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    train_all(database, experiment)
    refused = problem(client.post(experiment["links"]["cancel"]), 409)
    assert "succeeded" in refused["detail"]
    assert client.get(experiment["links"]["self"]).json()["state"] == "succeeded"


def test_deleting_removes_the_experiment_with_its_runs(client: TestClient, database: Database) -> None:
    experiment, kept = submit(client), submit(client)
    train_all(database, experiment)
    run_id = run_ids(database, experiment)[0]
    response = client.delete(experiment["links"]["self"])
    assert (response.status_code, response.content) == (204, b"")
    problem(client.get(experiment["links"]["self"]), 404)
    problem(client.get(f"/v1/runs/{run_id}"), 404)
    problem(client.delete(experiment["links"]["self"]), 404)
    assert client.get(kept["links"]["self"]).status_code == 200
    with database.begin() as session:
        assert session.execute(select(func.count()).select_from(Run)).scalar_one() == 2


def test_runs_are_listed_seed_by_seed_with_every_variant(client: TestClient) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    path = experiment["links"]["runs"]
    first = client.get(path, params={"page_size": 3}).json()
    rest = client.get(path, params={"page_size": 3, "page_token": first["next_page_token"]}).json()
    seen = [(run["seed"], run["variant"]) for run in first["items"] + rest["items"]]
    assert seen == [(seed, variant) for seed in (0, 1) for variant in ("baseline", "batch_norm")]
    assert rest["next_page_token"] == ""


def test_what_is_no_experiment_is_not_found(reader: TestClient) -> None:
    for name in ("nothing", str(uuid.uuid4()), "../runs", "%00", "0" * 5000):
        for path in (f"/v1/experiments/{name}", f"/v1/experiments/{name}/runs", f"/v1/runs/{name}"):
            problem(reader.get(path), 404)
