"""What the API knows of plug-ins: what workers have published, and no more."""

from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, update

from models.plan.rewrites import FOR_PLUGINS
from models.runs import seconds
from models.specs.plugin import Offered, OfferedFacts, PluginKey
from models.storage import plugins, presence
from models.storage.database import Database
from models.storage.plugin_tables import Plugin
from tests.api.made import Json, problem, spec

TOWER: Json = {
    "type": "object",
    "properties": {
        "depth": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "width": {"type": "integer", "exclusiveMinimum": 0},
        "gate": {"enum": ["open", "closed"], "default": "open"},
        "sizes": {"type": "array", "items": {"type": "number"}, "default": []},
        "scale": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}], "default": None},
        "inner": {"$ref": "#/$defs/Inner", "default": {"rate": 0.5}},
    },
    "required": ["width"],
    "additionalProperties": False,
    "$defs": {
        "Inner": {
            "type": "object",
            "properties": {"rate": {"type": "number", "maximum": 1}},
            "additionalProperties": False,
        }
    },
}
SPIRALS: Json = {
    "type": "object",
    "properties": {"cases": {"type": "integer", "default": 100}, "arms": {"type": "integer", "default": 3}},
    "additionalProperties": False,
}
NETWORK = Offered(PluginKey("network", "tower", "acme", "1.0"), "A tower", TOWER)
DATASET = Offered(
    PluginKey("dataset", "spirals", "acme", "1.0"),
    "Spirals",
    SPIRALS,
    OfferedFacts(cases="cases", shape=(2,), classes="arms"),
)


def published(database: Database, *offers: Offered) -> None:
    with database.begin() as session:
        plugins.publish(session, offers)


def silent(database: Database, version: str) -> None:
    """No worker has named it for a while."""
    long_ago = func.clock_timestamp() - seconds(presence.ABSENT_S + 1)
    with database.begin() as session:
        session.execute(update(Plugin).where(Plugin.version == version).values(seen_at=long_ago))


@pytest.fixture(autouse=True)
def _published(database: Database) -> None:
    published(database, NETWORK, DATASET)


def network(parameters: Any = None, **changes: Any) -> Json:
    return {
        "kind": "plugin",
        "name": "tower",
        "parameters": {"width": 4} if parameters is None else parameters,
        **changes,
    }


def dataset(parameters: Any = None, **changes: Any) -> Json:
    return {"kind": "plugin", "name": "spirals", "parameters": parameters or {}, **changes}


def asked(client: httpx2.Client, **changes: Any) -> Any:
    return client.post("/v1/experiments", json=spec(network=network(), dataset=dataset(), batch_size=10) | changes)


def test_what_was_left_out_and_what_a_worker_knows_is_filled_in(client: TestClient) -> None:
    answer = asked(client)
    assert answer.status_code == 202, answer.text
    stored = answer.json()["spec"]
    assert stored["network"] == {
        "kind": "plugin",
        "name": "tower",
        "package": "acme",
        "version": "1.0",
        "parameters": {
            "depth": 3,
            "width": 4,
            "gate": "open",
            "sizes": [],
            "scale": None,
            "inner": {"rate": 0.5},
        },
    }
    assert stored["dataset"]["parameters"] == {"cases": 100, "arms": 3}
    facts = {"cases": 100, "shape": [2], "classes": 3, "form": "vector", "target": "class", "vocabulary": 0}
    assert stored["dataset"]["facts"] == facts


WRONG: list[tuple[Json, str, object]] = [
    ({"network": network({})}, "network.parameters.width", None),
    ({"network": network({"width": "4"})}, "network.parameters.width", "4"),
    ({"network": network({"width": True})}, "network.parameters.width", True),
    ({"network": network({"width": 0})}, "network.parameters.width", 0),
    ({"network": network({"width": 4, "depth": 10})}, "network.parameters.depth", 10),
    ({"network": network({"width": 4, "dept": 2})}, "network.parameters.dept", 2),
    ({"network": network({"width": 4, "gate": "ajar"})}, "network.parameters.gate", "ajar"),
    ({"network": network({"width": 4, "sizes": [1, "2"]})}, "network.parameters.sizes[1]", "2"),
    ({"network": network({"width": 4, "scale": -1})}, "network.parameters.scale", -1),
    ({"network": network({"width": 4, "inner": {"rate": 2}})}, "network.parameters.inner.rate", 2),
    ({"network": network({"width": 4, "inner": {"rat": 1}})}, "network.parameters.inner.rat", 1),
    ({"network": network([])}, "network.parameters", []),
    ({"network": network(name="towers")}, "network.name", "towers"),
    ({"network": network(package="other")}, "network.package", "other"),
    ({"network": network(version="9")}, "network.version", "9"),
    ({"network": network(frozen=["a"])}, "network.frozen", ["a"]),
    ({"dataset": dataset({"cases": 0})}, "dataset.parameters", {"cases": 0, "arms": 3}),
    ({"dataset": dataset({"cases": 20_000_000})}, "dataset.parameters", 20_000_000),
    ({"dataset": dataset(name="tower")}, "dataset.name", "tower"),
    ({"dataset": dataset(), "batch_size": 81}, "batch_size", 81),
    ({"remedies": "suggest"}, "remedies", "suggest"),
]


@pytest.mark.parametrize(("changes", "field", "value"), WRONG)
def test_what_cannot_be_is_told_at_its_place(client: TestClient, changes: Json, field: str, value: object) -> None:
    for answer in (asked(client, **changes), client.post("/v1/experiments/validate", json=_spec(changes))):
        errors = problem(answer, 422)["errors"]
        assert [(error["field"], error["value"]) for error in errors] == [(field, value)]
        assert errors[0]["message"]


def _spec(changes: Json) -> Json:
    return spec(network=network(), dataset=dataset(), batch_size=10) | changes


def test_what_there_is_is_named(client: TestClient) -> None:
    published(client.app.state.database, Offered(PluginKey("network", "arch", "acme", "1.0"), "An arch", TOWER))  # type: ignore[attr-defined]
    (error,) = problem(asked(client, network=network(name="bridge")), 422)["errors"]
    assert error["allowed"] == ["arch", "tower"]
    (error,) = problem(asked(client, network=network({"width": 4, "gate": "ajar"})), 422)["errors"]
    assert error["allowed"] == {"enum": ["open", "closed"]}
    (error,) = problem(asked(client, network={"kind": "tower"}), 422)["errors"]
    assert "plugin" in error["allowed"]


def test_several_things_wrong_are_told_at_once(client: TestClient) -> None:
    errors = problem(asked(client, network=network({"depth": 0, "width": -1, "colour": "red"})), 422)["errors"]
    places = {f"network.parameters.{name}" for name in ("depth", "width", "colour")}
    assert {error["field"] for error in errors} == places


def test_each_field_that_is_missing_is_told_once(client: TestClient, database: Database) -> None:
    published(database, Offered(NETWORK.key, "A tower", TOWER | {"required": ["width", "sort", "size"]}))
    errors = problem(asked(client, network=network({})), 422)["errors"]
    assert [error["field"] for error in errors] == [f"network.parameters.{name}" for name in ("size", "sort", "width")]


def test_the_newest_version_is_meant_and_an_older_one_can_be_named(client: TestClient, database: Database) -> None:
    newer = Offered(NETWORK.key._replace(version="1.1"), "A better tower", TOWER)
    published(database, newer)
    assert asked(client).json()["spec"]["network"]["version"] == "1.1"
    assert asked(client, network=network(version="1.0")).json()["spec"]["network"]["version"] == "1.0"
    silent(database, "1.1")
    assert asked(client).json()["spec"]["network"]["version"] == "1.0"
    (error,) = problem(asked(client, network=network(version="1.1")), 422)["errors"]
    assert error["allowed"] == ["1.0"]


def test_of_two_packages_with_one_name_one_has_to_be_named(client: TestClient, database: Database) -> None:
    published(database, Offered(NETWORK.key._replace(package="apex"), "Another tower", TOWER))
    (error,) = problem(asked(client), 422)["errors"]
    assert (error["field"], error["allowed"]) == ("network.package", ["acme", "apex"])
    assert asked(client, network=network(package="apex")).status_code == 202


def test_the_catalogue_tells_what_workers_have_and_what_they_had(client: TestClient, database: Database) -> None:
    def listed(name: str) -> Sequence[Json]:
        return [its for its in client.get(f"/v1/catalogue/{name}").json()["items"] if its["kind"] == "plugin"]

    (tower,) = listed("networks")
    assert (tower["name"], tower["package"], tower["version"], tower["present"]) == ("tower", "acme", "1.0", True)
    assert tower["parameters"] == TOWER
    (spirals,) = listed("datasets")
    assert spirals["facts"]["cases"] == "cases"
    assert listed("optimizers") == []
    silent(database, "1.0")
    assert [its["present"] for its in (*listed("networks"), *listed("datasets"))] == [False, False]
    assert problem(asked(client), 422)["errors"][0]["field"] == "network.name"


def test_remedies_for_plug_ins_say_so_and_the_others_are_refused_with_those_that_act(client: TestClient) -> None:
    remedies = client.get("/v1/catalogue/remedies").json()["items"]
    acting = [its["kind"] for its in remedies if "plugin" in its["applies_to"]]
    assert acting == list(FOR_PLUGINS)
    assert {"clip_norm", "learning_rate", "standardise", "l2"} <= set(acting)
    assert not {"batch_norm", "init", "activation", "residual", "dropout", "lstm"} & set(acting)
    for kind in ("batch_norm", "orthogonal_init", "residual", "lstm"):
        (error,) = problem(asked(client, remedies=[{"kind": kind}]), 422)["errors"]
        assert (error["field"], error["value"]) == ("remedies", kind)
        assert error["allowed"] == acting


def test_a_cost_that_hangs_on_layers_is_not_known_and_says_so(client: TestClient) -> None:
    cost = client.post("/v1/experiments/validate", json=_spec({})).json()
    assert cost["variants"] == [{"name": "baseline", "remedies": [], "parameters": None}]
    unknown = ("trace_values", "estimated_device_seconds", "estimated_device_seconds_range")
    assert [cost[name] for name in unknown] == [None, None, None]
    assert (cost["runs"], cost["steps"]) == (2, 4)
    assert any("plug-in" in warning for warning in cost["warnings"])


def test_a_network_of_ours_on_data_of_a_plug_in_is_estimated_as_any(client: TestClient) -> None:
    cost = client.post("/v1/experiments/validate", json=_spec({"network": spec()["network"]})).json()
    assert cost["variants"][0]["parameters"] == 2 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 3 + 3
    assert cost["estimated_device_seconds"] > 0


def test_theory_says_that_it_has_nothing_to_say(client: TestClient) -> None:
    (error,) = problem(client.post("/v1/predictions", json={"network": network()}), 422)["errors"]
    assert (error["field"], error["value"]) == ("network.kind", "plugin")
    assert "steps: 0" in error["message"]


def test_its_code_cannot_be_given(client: TestClient) -> None:
    experiment = asked(client).json()
    said = problem(client.get(f"/v1/experiments/{experiment['id']}/variants/baseline/code"), 409)["detail"]
    assert "network tower of acme 1.0" in said
    assert "data set spirals of acme 1.0" in said


def test_an_experiment_that_nobody_has_begun_can_be_looked_at(client: TestClient) -> None:
    experiment = asked(client, remedies=[{"kind": "clip_norm"}]).json()
    path = f"/v1/experiments/{experiment['id']}"
    for page in ("", "/comparison", "/report", "/runs", "/heatmaps.svg", "/curves.svg", "/profile.svg"):
        assert client.get(path + page).status_code in {200, 409}, page
    run = client.get(experiment["links"]["runs"]).json()["items"][0]
    assert client.get(f"/v1/runs/{run['id']}").json()["first_nonfinite"] is None
    for page in ("trace?signal=weight_norm", "curves", "records.parquet", "early", "heatmap.svg"):
        assert client.get(f"/v1/runs/{run['id']}/{page}").status_code in {200, 409}, page
    csv = client.get(f"/v1/runs/{run['id']}/trace?signal=all", headers={"Accept": "text/csv"})
    assert csv.status_code in {200, 409}, csv.text


def test_a_schema_that_cannot_be_used_is_refused_and_no_error_of_ours(client: TestClient, database: Database) -> None:
    unusable = TOWER | {"properties": {"width": {"type": "string", "pattern": "(["}}}
    published(database, Offered(NETWORK.key, "A tower", unusable))
    (error,) = problem(asked(client), 422)["errors"]
    assert error["field"] == "network.name"
