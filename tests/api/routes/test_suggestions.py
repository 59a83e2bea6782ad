"""Remedies that the clinic chooses: by the plan, and by what an experiment that has ended leaves open."""

import uuid
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from models.analysis.suggestion.choice import MOST_SUGGESTED
from models.specs.experiment import MAX_RUNS
from models.storage.database import Database
from tests.api.made import Json, problem, run_ids, spec, submit, train, train_all
from tests.api.uploads.samples import npz
from tests.networks import TREATABLE

SIGMOIDS = {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
SHALLOW = {"kind": "mlp", "depth": 3, "width": 16, "init": {"kind": "kaiming_normal"}}
ZEROS = {"kind": "normal", "std": 0.0}
POST_NORM = {"kind": "transformer", "blocks": 12, "width": 16, "heads": 2, "norm_position": "post"}
DEEP = {"kind": "mlp", "width": 64, "init": {"kind": "kaiming_normal"}}
ADDING = {"kind": "adding", "length": 100, "cases": 1000}
LARGE_TARGETS = {"kind": "teacher_student", "inputs": 8, "outputs": 1, "singular_values": [150.0]}
RATES = {"learning_rate(0.001)": ["learning_rate"], "learning_rate(0.03)": ["learning_rate"]}


def suggested(client: TestClient, **changes: Any) -> Json:
    response = client.post("/v1/experiments/validate", json=spec(**{"remedies": "suggest", **changes}))
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def causes_tested(answer: Json) -> dict[str, list[str]]:
    return {one["remedy"]: one["tests"] for one in answer["suggested"]}


def refusals(client: TestClient, **changes: Any) -> list[Json]:
    body = spec(**{"remedies": "suggest", **changes})
    errors: list[Json] = problem(client.post("/v1/experiments/validate", json=body), 422)["errors"]
    return errors


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"network": SIGMOIDS},
            {"batch_norm": ["initialisation", "saturating_activation"], "activation": ["saturating_activation"]},
        ),
        ({"network": SIGMOIDS | {"depth": 4, "width": 200}}, {"activation": ["saturating_activation"]}),
        ({"network": DEEP | {"depth": 20, "init": {"kind": "xavier_normal"}}}, {"init": ["initialisation"]}),
        ({"network": DEEP | {"activation": "tanh", "depth": 4, "init": {"kind": "normal", "std": 1.0}}},
         {"init": ["initialisation"]}),
        ({"network": SHALLOW | {"init": ZEROS}}, {"init": ["symmetric_weights"]}),
        ({"network": SHALLOW | {"init": ZEROS, "activation": "tanh"}}, {"init": ["symmetric_weights"]}),
        ({"network": DEEP | {"depth": 16, "activation": "selu", "dropout": 0.5, "init": {"kind": "lecun_normal"}}},
         {"dropout": ["dropout_noise"]}),
        ({"network": POST_NORM}, {"pre_norm": ["post_norm_at_depth"]}),
        ({"network": DEEP | {"depth": 50}}, {"scaled": ["depth_without_skip"]}),
        ({"network": DEEP | {"depth": 40, "normalization": {"kind": "batch_norm"}}},
         {"layer_norm": ["batch_norm_at_depth"]}),
        ({"network": {"kind": "residual_mlp", "blocks": 4, "width": 16}},
         {"scaled": ["missing_norm"], "learning_rate(0.001)": ["missing_norm", "learning_rate"],
          "learning_rate(0.03)": ["learning_rate"]}),
        ({"network": {"kind": "rnn", "cell": "tanh", "width": 16}, "dataset": ADDING}, {"irnn": ["initialisation"]}),
        ({"network": {"kind": "rnn", "cell": "lstm", "width": 16}, "dataset": ADDING},
         {"forget_bias": ["initialisation"]}),
        ({"dataset": LARGE_TARGETS}, {"standardise_targets": ["target_scale"]}),
        ({"network": SHALLOW}, RATES),
    ],
)  # fmt: skip
def test_what_the_plan_shows_is_tested_by_one_change_each(
    reader: TestClient, changes: dict[str, Any], wanted: dict[str, list[str]]
) -> None:
    answer = suggested(reader, **changes)
    assert causes_tested(answer) == wanted
    names = [variant["name"] for variant in answer["variants"]]
    assert names == ["baseline", *(one["remedy"] for one in answer["suggested"])]
    assert all(len(variant["remedies"]) == 1 for variant in answer["variants"][1:])
    assert answer["runs"] == sum(one["runs"] for one in answer["suggested"]) + 2 == 2 * len(names)
    assert suggested(reader, **changes) == answer


def test_a_cause_says_why_it_is_suspected_and_theory_what_would_come_of_it(reader: TestClient) -> None:
    activation, norm = sorted(suggested(reader, network=SIGMOIDS)["suggested"], key=lambda one: str(one["remedy"]))
    assert "sigmoid alone leaves 0.24 of δ in each layer" in activation["why"]
    assert "Theory puts its total gain at −6.24." in activation["why"]
    assert norm["why"].startswith("Initialisation: theory puts the total gain of these weights at −26.1; saturating")


def test_where_nothing_speaks_both_rates_are_tried_and_it_says_so(reader: TestClient) -> None:
    low, high = suggested(reader, network=SHALLOW)["suggested"]
    assert low["why"].startswith("Learning rate: 0.01 may be too high; nothing else speaks")
    assert high["why"].startswith("Learning rate: 0.01 may be too low; nothing else speaks")


@pytest.mark.parametrize("changes", [{"steps": 0}, {"tune": {"learning_rate": [0.1, 0.01]}, "steps": 4}])
def test_no_rate_is_tried_where_none_is_used_or_tuning_tries_them(reader: TestClient, changes: dict[str, Any]) -> None:
    answer = suggested(reader, network=SHALLOW, **changes)
    assert answer["suggested"] == []
    assert any(said.startswith("nothing is suggested") for said in answer["warnings"])
    assert causes_tested(suggested(reader, network=SHALLOW | {"init": ZEROS}, **changes)) == {
        "init": ["symmetric_weights"]
    }


def test_no_more_is_suggested_than_the_limits_of_an_experiment_leave_room_for(reader: TestClient) -> None:
    tune = {"learning_rate": [0.1, 0.01, 0.001], "seeds": {"count": 1000, "first": 2000}}
    answer = suggested(reader, network=SIGMOIDS, seeds={"count": 1000}, tune=tune)
    assert len(answer["suggested"]) == 1
    assert answer["runs"] <= MAX_RUNS
    seeds = {"count": 1000, "first": 2000}
    none = suggested(reader, network=SIGMOIDS, tune={"learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5], "seeds": seeds})
    assert none["suggested"] == []


def test_uploaded_inputs_and_targets_that_nothing_scales_are_suspected(client: TestClient) -> None:
    rng = np.random.default_rng(0)
    wide = npz(x=rng.uniform(0, 100, (60, 3)), y=rng.uniform(0, 500, 60))
    assert client.put("/v1/datasets/wide", content=wide).status_code == 201
    dataset = {"kind": "uploaded", "name": "wide", "standardise": "none"}
    both = {"standardise": ["input_scale"], "standardise_targets": ["target_scale"]}
    assert causes_tested(suggested(client, network=SHALLOW, dataset=dataset, batch_size=8)) == both
    flat = SHALLOW | {"activation": "sigmoid", "depth": 8}
    explained = causes_tested(suggested(client, network=flat, dataset=dataset, batch_size=8)).values()
    assert "saturating_activation" not in {cause for causes in explained for cause in causes}
    equal = suggested(client, network=SHALLOW | {"init": ZEROS}, dataset=dataset, batch_size=8)
    assert causes_tested(equal) == {"init": ["symmetric_weights"]}
    scaled = dataset | {"standardise": "feature", "standardise_targets": True}
    assert causes_tested(suggested(client, network=SHALLOW, dataset=scaled, batch_size=8)) == RATES


@pytest.mark.parametrize("kind", TREATABLE)
def test_every_kind_of_network_is_suggested_something_that_applies_to_it(reader: TestClient, kind: str) -> None:
    answer = suggested(reader, network=TREATABLE[kind])
    assert 1 <= len(answer["suggested"]) <= MOST_SUGGESTED


def test_what_is_stored_are_the_remedies_themselves(client: TestClient) -> None:
    made = submit(client, network=SIGMOIDS, remedies="suggest")
    assert [one["kind"] for one in made["spec"]["remedies"]] == [one["remedy"] for one in made["suggested"]]
    assert "suggest_from" not in made["spec"]
    assert causes_tested(made) == causes_tested(suggested(client, network=SIGMOIDS))
    assert client.get(made["links"]["self"]).json()["suggested"] == made["suggested"]
    listed = client.get("/v1/experiments").json()["items"][0]
    assert listed["suggested"] == made["suggested"]
    variants = client.get(made["links"]["comparison"]).json()["variants"]
    assert [one["name"] for one in variants] == ["baseline", *causes_tested(made)]
    again = client.post("/v1/experiments", json=made["spec"]).json()
    assert (again["spec"], again["suggested"]) == (made["spec"], None)


def test_a_key_gives_the_first_suggestion_again(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    body = spec(network=SIGMOIDS, remedies="suggest")
    first, again = (client.post("/v1/experiments", json=body, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    other = client.post("/v1/experiments", json=spec(network=SIGMOIDS), headers=headers)
    assert problem(other, 422)["errors"][0]["field"] == "Idempotency-Key"


def test_items_of_a_batch_are_suggested_their_own(client: TestClient) -> None:
    nowhere = str(uuid.uuid4())
    items = [
        spec(network=SIGMOIDS, remedies="suggest"),
        spec(remedies="suggest", design="add_all"),
        spec(network=SHALLOW, remedies="suggest"),
        spec(remedies="suggest", suggest_from=nowhere),
        spec(),
    ]
    answer = client.post("/v1/experiments/batch", json={"items": items}).json()["items"]
    assert [one["status"] for one in answer] == [202, 422, 202, 404, 202]
    assert causes_tested(answer[2]["experiment"]) == RATES
    assert nowhere in answer[3]["error"]["detail"]
    assert answer[4]["experiment"]["suggested"] is None


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"remedies": "Suggest"}, "remedies", ["suggest"]),
        ({"remedies": ""}, "remedies", ["suggest"]),
        ({"remedies": ["suggest"]}, "remedies[0]", None),
        ({"remedies": {"suggest": True}}, "remedies", None),
        ({"remedies": 5}, "remedies", None),
        ({"design": "full_factorial"}, "design", "one_at_a_time"),
        ({"design": "leave_one_out"}, "design", "one_at_a_time"),
        ({"variants": [{"name": "a", "remedies": []}]}, "body", None),
        ({"suggest_from": "mine"}, "suggest_from", None),
        ({"remedies": [], "suggest_from": str(uuid.uuid4())}, "suggest_from", 'left out, or remedies: "suggest"'),
        ({"batch_size": 5000}, "batch_size", "at most 1438"),
    ],
)
def test_what_cannot_be_suggested_is_refused_with_what_can(
    reader: TestClient, changes: dict[str, Any], field: str, allowed: object
) -> None:
    error = refusals(reader, **changes)[0]
    assert (error["field"], error["allowed"]) == (field, allowed)


@pytest.mark.parametrize("none", [[], None])
def test_no_remedies_are_not_a_wish_for_some(reader: TestClient, none: object) -> None:
    answer = reader.post("/v1/experiments/validate", json=spec() | {"remedies": none}).json()
    assert (len(answer["variants"]), answer["suggested"]) == (1, None)


# --- from an experiment that has ended ------------------------------------------------------------------------------

SMALL = SIGMOIDS | {"width": 8}


@pytest.fixture
def ended(client: TestClient, database: Database) -> Json:
    """Sigmoids of which the verdict names weights and activation, and where the activation was tried alone."""
    experiment = submit(client, network=SMALL, remedies=[{"kind": "activation", "function": "relu"}], seeds=[0])
    train_all(database, experiment, gains=(-1.4,))
    verdict = client.get(experiment["links"]["comparison"]).json()["variants"][0]["verdict"]
    assert verdict["causes"] == ["initialisation", "saturating_activation"]
    return experiment


def test_only_causes_that_no_variant_there_tested_are_left(client: TestClient, ended: Json) -> None:
    answer = suggested(client, network=SMALL, suggest_from=ended["id"])
    assert causes_tested(answer) == {"batch_norm": ["initialisation"]}
    assert "the verdict names it, and no variant there has tested it alone" in answer["suggested"][0]["why"]
    assert causes_tested(submit(client, network=SMALL, remedies="suggest", suggest_from=ended["id"])) == causes_tested(
        answer
    )


def test_what_was_not_trained_has_tested_nothing(client: TestClient, database: Database) -> None:
    experiment = submit(client, network=SMALL, remedies=[{"kind": "activation", "function": "relu"}], seeds=[0])
    train(database, run_ids(database, experiment)[0], -1.4)
    client.post(experiment["links"]["cancel"])
    answer = suggested(client, network=SMALL, suggest_from=experiment["id"])
    assert causes_tested(answer)["activation"] == ["saturating_activation"]


def test_a_change_that_was_tried_there_is_not_suggested_again(client: TestClient, database: Database) -> None:
    tried = [{"kind": "activation", "function": "relu"}, {"kind": "batch_norm"}]
    experiment = submit(client, network=SMALL, remedies=tried, seeds=[0])
    train_all(database, experiment, gains=(-1.4,))
    answer = suggested(client, network=SMALL, suggest_from=experiment["id"])
    assert causes_tested(answer) == RATES
    assert "no single change is left that tests a cause of that verdict" in answer["suggested"][0]["why"]


def test_after_all_causes_come_the_rates_and_then_nothing(client: TestClient, database: Database) -> None:
    rates = [{"kind": "learning_rate", "value": value} for value in (0.001, 0.03)]
    healthy = submit(client, network=SHALLOW, seeds=[0])
    tried = submit(client, network=SHALLOW, remedies=rates, seeds=[0])
    for experiment in (healthy, tried):
        for run_id in run_ids(database, experiment):
            train(database, run_id, 0.0, chance_level=100.0)
    answer = suggested(client, network=SHALLOW, suggest_from=healthy["id"])
    assert causes_tested(answer) == RATES
    assert "no rate was tried there" in answer["suggested"][0]["why"]
    error = refusals(client, network=SHALLOW, suggest_from=tried["id"])[0]
    assert (error["field"], error["value"]) == ("suggest_from", tried["id"])
    assert "have tested every cause" in error["message"]


def test_the_verdicts_own_value_is_taken_for_the_optimiser_it_was_found_with(
    client: TestClient, database: Database
) -> None:
    experiment = submit(client, network=SHALLOW, seeds=[0])
    train(database, run_ids(database, experiment)[0], 0.0, outcome="diverged")
    verdict = client.get(experiment["links"]["comparison"]).json()["variants"][0]["verdict"]
    (lower,) = (one["spec"] for one in verdict["answers"] if one["remedy"] == "learning_rate")
    same, other = (
        suggested(client, network=SHALLOW, suggest_from=experiment["id"], optimizer=optimizer)["variants"][1:]
        for optimizer in ({"kind": "sgd"}, {"kind": "sgd", "learning_rate": 0.5})
    )
    assert [variant["remedies"] for variant in same] == [[lower]]
    assert [variant["remedies"][0]["value"] for variant in other] == [0.05, 1.5]


def test_another_network_or_other_data_are_refused(client: TestClient, ended: Json) -> None:
    of_network = refusals(client, network=SMALL | {"width": 9}, suggest_from=ended["id"])[0]
    of_data = refusals(client, network=SMALL, dataset={"kind": "mnist_5k"}, suggest_from=ended["id"])[0]
    assert (of_network["field"], of_network["allowed"]) == ("suggest_from", "an experiment on the same network")
    assert (of_data["field"], of_data["allowed"]) == ("suggest_from", "an experiment on the same dataset")


def test_one_that_is_not_there_or_has_not_ended_or_has_no_verdict_is_refused(client: TestClient) -> None:
    nowhere = str(uuid.uuid4())
    body = spec(remedies="suggest", suggest_from=nowhere)
    assert nowhere in problem(client.post("/v1/experiments", json=body), 404)["detail"]
    waiting = submit(client)
    assert refusals(client, suggest_from=waiting["id"])[0]["message"] == "it is queued"
    client.post(waiting["links"]["cancel"])
    assert refusals(client, suggest_from=waiting["id"])[0]["allowed"] == "an experiment with a verdict"
