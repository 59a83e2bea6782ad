"""Experiments in a line: what one has tried the next ones neither suggest nor advise, and what repaired they say."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from api import queries
from api.http.callers import LOCAL
from models import runs
from models.runs import comparing, lineage
from models.storage.database import Database
from models.storage.tables import Experiment
from tests.api.keyed import ADMIN, holder
from tests.api.made import Json, claim, problem, run_ids, spec, submit, train
from tests.api.routes.test_suggestions import RATES, SHALLOW, SMALL, causes_tested, suggested

RELU, NORM = {"kind": "activation", "function": "relu"}, {"kind": "batch_norm"}
FIVE: Json = {"count": 5}


def ended(client: TestClient, database: Database, *remedies: Json, trains: Sequence[str] = (), **changes: Any) -> Json:
    """Sigmoids whose gradients vanish; the variants named in ``trains`` close nearly all of the way from chance."""
    asked = {"network": SMALL, "seeds": FIVE, "remedies": list(remedies), **changes}
    experiment = submit(client, **asked)
    end(client, database, experiment, trains)
    return experiment


def end(client: TestClient, database: Database, experiment: Json, trains: Sequence[str] = ()) -> None:
    runs = client.get(experiment["links"]["runs"], params={"page_size": 100}).json()["items"]
    variants = {run["id"]: run["variant"] for run in runs}
    for run_id in run_ids(database, experiment):
        well = variants[str(run_id)] in trains
        train(database, run_id, 0.0 if well else -1.4, **({"chance_level": 100.0} if well else {}))


def after(client: TestClient, database: Database, experiment: Json, **changes: Any) -> Json:
    asked = {"network": SMALL, "seeds": FIVE, "remedies": "suggest", "suggest_from": experiment["id"], **changes}
    following = submit(client, **asked)
    end(client, database, following)
    return following


def compared(client: TestClient, experiment: Json) -> Json:
    found: Json = client.get(experiment["links"]["comparison"]).json()
    return found


def tried(comparison: Json) -> set[str]:
    return {its["remedy"] for its in comparison["variants"][0]["verdict"]["answers"] if its["tried"]}


def test_an_experiment_says_which_one_it_was_suggested_from(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU)
    second = after(client, database, first)
    for view in (second, client.get(second["links"]["self"]).json(), client.get("/v1/experiments").json()["items"][0]):
        assert view["suggested_from"] == first["id"]
        assert client.get(view["links"]["suggested_from"]).json()["name"] == first["name"]
    assert first["suggested_from"] is None
    assert "suggested_from" not in first["links"]
    again = client.post("/v1/experiments", json=second["spec"]).json()
    assert again["suggested_from"] is None


def test_what_was_tried_before_in_vain_is_not_advised_again(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU, NORM)
    second = after(client, database, first)
    alone = ended(client, database, *second["spec"]["remedies"])
    assert causes_tested(second) == RATES
    assert tried(compared(client, second)) - tried(compared(client, alone)) >= {"activation", "batch_norm"}
    for path in ("comparison", "comparison?brief=1", "report"):
        by_itself = client.get(f"/v1/experiments/{alone['id']}/{path}").text
        behind = client.get(f"/v1/experiments/{second['id']}/{path}").text
        assert ("ry batch_norm" in by_itself, "ry batch_norm" in behind) == (True, False), path
    said = "Tried in an earlier experiment on this baseline, without being shown to help: activation relu, batch_norm."
    assert compared(client, second)["answer"].endswith(said)
    assert compared(client, alone)["earlier"] == []


@pytest.mark.parametrize(("seeds", "words"), [(5, "an earlier experiment has shown that it"), (1, "it seemed to")])
def test_what_repaired_before_is_to_be_used(client: TestClient, database: Database, seeds: int, words: str) -> None:
    first = ended(client, database, RELU, trains=["activation"], seeds={"count": seeds})
    second = after(client, database, first, seeds={"count": 1})
    answer = compared(client, second)["answer"]
    assert answer.startswith("Use activation relu")
    assert words in answer.split(". ")[0]
    repairs = "repairs" if seeds == 5 else "seems to repair"
    assert f"baseline, activation relu {repairs} it, and trains in {seeds} of {seeds} runs." in answer
    assert client.get(f"{second['links']['comparison']}?brief=1").text.startswith("Use activation relu")
    (told,) = compared(client, second)["earlier"]
    assert (told["experiment_id"], told["success"]["count"]) == (first["id"], seeds)


def test_what_repairs_here_as_surely_goes_before(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU, trains=["activation"])
    second = submit(client, network=SMALL, seeds=FIVE, remedies="suggest", suggest_from=first["id"])
    (found,) = causes_tested(second)
    end(client, database, second, [found])
    answer = compared(client, second)["answer"]
    assert answer.startswith(f"Use {found}.")
    assert "In an earlier experiment on this baseline, activation relu repairs it" in answer


def test_the_whole_line_counts(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU)
    second = after(client, database, first)
    assert causes_tested(second) == {"batch_norm": ["initialisation"]}
    assert causes_tested(suggested(client, network=SMALL, suggest_from=second["id"])) == RATES
    third = after(client, database, second)
    assert {its["name"] for its in compared(client, third)["earlier"]} == {"activation", "batch_norm"}
    assert tried(compared(client, third)) >= {"activation", "batch_norm"}
    refused = client.post(
        "/v1/experiments/validate", json=spec(network=SMALL, remedies="suggest", suggest_from=third["id"])
    )
    assert "have tested every cause" in problem(refused, 422)["errors"][0]["message"]


@pytest.mark.parametrize(
    "changes", [{"steps": 5}, {"batch_size": 64}, {"optimizer": {"kind": "adam"}}, {"metric": "balanced_accuracy"}]
)
def test_another_baseline_was_tried_on_nothing(client: TestClient, database: Database, changes: dict[str, Any]) -> None:
    first = ended(client, database, RELU)
    second = after(client, database, first, **changes)
    assert second["suggested_from"] == first["id"]
    assert compared(client, second)["earlier"] == []
    # One that comes after it may be on the first baseline again.
    third = submit(client, network=SMALL, seeds=FIVE, remedies="suggest", suggest_from=second["id"])
    end(client, database, third)
    assert [its["name"] for its in compared(client, third)["earlier"]] == ["activation"]


def test_a_line_is_followed_so_far(client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MOST", 1)
    first = ended(client, database, RELU)
    third = after(client, database, after(client, database, first))
    assert [its["name"] for its in compared(client, third)["earlier"]] == ["batch_norm"]


def test_compared_with_the_one_before_each_variant_is_told_once(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU)
    second = after(client, database, first)
    found = client.post("/v1/comparisons", json={"experiment_ids": [second["id"], first["id"]]}).json()
    assert found["earlier"] == []
    assert "earlier experiment" not in found["answer"]


def test_what_is_deleted_is_forgotten_by_all_behind_it(client: TestClient, database: Database) -> None:
    first = ended(client, database, RELU)
    body = spec(network=SMALL, seeds=FIVE, remedies="suggest", suggest_from=first["id"])
    once = {"Idempotency-Key": "k"}
    batch = {"items": [body]}
    second = client.post("/v1/experiments", json=body, headers=once).json()
    many = {"Idempotency-Key": "many"}
    client.post("/v1/experiments/batch", json=batch, headers=many)
    end(client, database, second)
    third = after(client, database, second)
    assert first["id"] in client.get(third["links"]["comparison"]).text
    assert client.delete(first["links"]["self"]).status_code == 204
    for experiment in (second, third):
        assert compared(client, experiment)["variants"][0]["verdict"]["kind"] == "vanishing"
        assert first["id"] not in client.get(experiment["links"]["comparison"]).text
    now = client.get(second["links"]["self"]).json()
    assert (now["suggested_from"], now["verdict"], "suggested_from" in now["links"]) == (None, "vanishing", False)
    kept = client.post("/v1/experiments", json=body, headers=once)
    assert (kept.status_code, kept.json()["id"], kept.json()["suggested_from"]) == (202, second["id"], None)
    assert first["id"] not in kept.text + client.post("/v1/experiments/batch", json=batch, headers=many).text
    # As the dispatcher makes them.
    with database.begin() as session:
        for experiment_id in comparing.missing(session, 10):
            comparing.store_if_ended(session, experiment_id)
    assert [its["experiment_id"] for its in compared(client, third)["earlier"]] == [second["id"]]
    assert first["id"] not in client.get(third["links"]["comparison"]).text


def test_what_is_found_by_a_retry_reaches_all_behind_it(client: TestClient, database: Database) -> None:
    """Of activation one run failed: what the others say was told, and is told anew once that has ended too."""
    first = submit(client, network=SMALL, seeds=FIVE, remedies=[RELU])
    listed = client.get(first["links"]["runs"], params={"page_size": 100}).json()["items"]
    *_, failing = (uuid.UUID(its["id"]) for its in listed if its["variant"] == "activation")
    lease, _ = claim(database, failing)
    with database.begin() as session:
        runs.fail(session, lease, {"title": "Out of memory", "detail": "of this test"})
    for run_id in run_ids(database, first):
        if run_id != failing:
            train(database, run_id, -1.4)
    third = after(client, database, after(client, database, first))

    def seeds() -> list[int]:
        with database.begin() as session:
            for experiment_id in comparing.missing(session, 10):
                comparing.store_if_ended(session, experiment_id)
        told = compared(client, third)["earlier"]
        return [its["success"]["of"] for its in told if its["experiment_id"] == first["id"]]

    assert seeds() == [4]
    assert client.post(f"{first['links']['self']}/retry").status_code == 202
    train(database, failing, -1.4)
    assert seeds() == [5]


def test_one_that_is_suggested_from_cannot_go_meanwhile(client: TestClient, database: Database) -> None:
    first = uuid.UUID(ended(client, database, RELU)["id"])
    taken = select(Experiment.id).where(Experiment.id == first).with_for_update(nowait=True)
    with database.begin() as session:
        queries.experiment_of(session, LOCAL, first, held=True)
        with pytest.raises(OperationalError, match="could not obtain lock"), database.begin() as other:
            other.execute(taken)


def test_no_line_leads_to_another_owner(keyed: TestClient, database: Database) -> None:
    ada = holder(keyed, "ada")
    first = keyed.post("/v1/experiments", json=spec(network=SHALLOW, remedies=[RELU]), headers=ada).json()
    for run_id in run_ids(database, first):
        train(database, run_id, -1.4)
    asked = spec(network=SHALLOW, remedies="suggest", suggest_from=first["id"])
    admins = keyed.post("/v1/experiments", json=asked, headers=ADMIN).json()
    assert (admins["suggested_from"], "suggested_from" in admins["links"]) == (None, False)
    # As no request can make it.
    with database.begin() as session:
        its = Experiment.id == uuid.UUID(admins["id"])
        session.execute(update(Experiment).where(its).values(suggested_from=uuid.UUID(first["id"])))
    for run_id in run_ids(database, admins):
        train(database, run_id, -1.4)
    assert keyed.get(admins["links"]["comparison"], headers=ADMIN).json()["earlier"] == []
