"""Owners are kept apart: one table over all routes, so that a new route has to say what it tells another owner."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import SecretStr

from models.settings import Settings
from models.storage.database import Database
from tests.api.http.test_scopes import ADMINS
from tests.api.keyed import ADMIN, Headers, bearer, holder, new_key
from tests.api.made import Json, problem, run_ids, spec, submit, train_all
from tests.api.routes.test_datasets import SET
from tests.api.routes.test_ingest import LAYERS, ending, opening, quiet, records

NOBODY = str(uuid.UUID(int=0))


@dataclass(frozen=True, slots=True)
class Adas:
    """What the first owner has: an experiment that has ended, a queued one, a watched run, a webhook, a data set."""

    experiment: str
    queued: str
    run: str
    watched: str
    token: str
    webhook: str
    delivery: str
    dataset: str = "mine"

    def fill(self, template: str) -> str:
        ids = {"experiment_id": self.experiment, "run_id": self.run, "name": self.dataset, "first": "0"}
        ids["variant"] = "baseline"
        ids |= {"webhook_id": self.webhook, "delivery_id": self.delivery}
        if template.startswith("/v1/ingest"):
            ids["run_id"] = self.watched
        return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], template)


Body = Callable[[Adas], Json]
OF_ONE: dict[str, Body | None] = {
    "GET /v1/experiments/{experiment_id}": None,
    "GET /v1/experiments/{experiment_id}/done": None,
    "GET /v1/experiments/{experiment_id}/runs": None,
    "GET /v1/experiments/{experiment_id}/runs/brief": None,
    "GET /v1/experiments/{experiment_id}/events": None,
    "GET /v1/experiments/{experiment_id}/comparison": None,
    "GET /v1/experiments/{experiment_id}/curves": None,
    "GET /v1/experiments/{experiment_id}/variants/{variant}/code": None,
    "GET /v1/experiments/{experiment_id}/report": None,
    "GET /v1/experiments/{experiment_id}/comparison.svg": None,
    "GET /v1/experiments/{experiment_id}/comparison.png": None,
    "GET /v1/experiments/{experiment_id}/outcomes.svg": None,
    "GET /v1/experiments/{experiment_id}/outcomes.png": None,
    "GET /v1/experiments/{experiment_id}/profile.svg": None,
    "GET /v1/experiments/{experiment_id}/profile.png": None,
    "GET /v1/experiments/{experiment_id}/heatmaps.svg": None,
    "GET /v1/experiments/{experiment_id}/heatmaps.png": None,
    "GET /v1/experiments/{experiment_id}/curves.svg": None,
    "GET /v1/experiments/{experiment_id}/curves.png": None,
    "GET /v1/runs/{run_id}": None,
    "GET /v1/runs/{run_id}/diagnosis": None,
    "GET /v1/runs/{run_id}/early": None,
    "GET /v1/runs/{run_id}/trace": None,
    "GET /v1/runs/{run_id}/curves": None,
    "GET /v1/runs/{run_id}/records.parquet": None,
    "GET /v1/runs/{run_id}/heatmap.svg": None,
    "GET /v1/runs/{run_id}/heatmap.png": None,
    "GET /v1/datasets/{name}": None,
    "GET /v1/webhooks/{webhook_id}": None,
    "GET /v1/webhooks/{webhook_id}/deliveries": None,
    "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}": None,
    "POST /v1/webhooks/{webhook_id}/ping": None,
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": None,
    "PATCH /v1/webhooks/{webhook_id}": lambda _: {"active": True},
    "POST /v1/comparisons": lambda adas: {"experiment_ids": [adas.experiment]},
    "POST /v1/experiments/{experiment_id}/judge": None,
    "POST /v1/experiments/{experiment_id}/retry": None,
    "POST /v1/experiments/{experiment_id}/cancel": None,
    "PUT /v1/ingest/runs/{run_id}/records/{first}": lambda adas: records(*quiet(3), adas.token),
    "POST /v1/ingest/runs/{run_id}/end": lambda adas: ending(adas.token, 3),
    "DELETE /v1/experiments/{experiment_id}": None,
    "DELETE /v1/datasets/{name}": None,
    "DELETE /v1/webhooks/{webhook_id}": None,
}
"""With the body that is asked for: of one thing that its owner alone has. What deletes stands last."""
LISTS = {"GET /v1/experiments", "GET /v1/datasets", "GET /v1/quota", "GET /v1/webhooks", "GET /v1/events"}
"""Of what the caller may see; the last has tests of its own (``tests/api/routes/test_all_events.py``)."""
MAKES_OWN = {
    "POST /v1/experiments",
    "POST /v1/experiments/batch",
    "POST /v1/experiments/validate",
    "PUT /v1/datasets/{name}",
    "POST /v1/ingest/runs",
    "POST /v1/webhooks",
}
"""They take no id of a thing; what they refer to otherwise has tests of its own below."""
OF_NOBODY = {
    "GET /",
    "GET /docs",
    "GET /openapi.json",
    "GET /openapi-3.0.json",
    "GET /openapi-3.2.json",
    "GET /healthz",
    "GET /readyz",
    "GET /dashboard",
    "GET /dashboard/",
    "GET /dashboard/{name}",
    "GET /v1/catalogue/{name}",
    "POST /v1/predictions",
    "GET /v1/predictions/phase.svg",
    "GET /v1/predictions/phase.png",
}
QUERIES = {"/v1/runs/{run_id}/trace": {"signal": "weight_norm"}}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(database_url), storage_url=tmp_path.as_uri())


@pytest.fixture
def ada(keyed: TestClient) -> Headers:
    return holder(keyed, "ada")


@pytest.fixture
def bob(keyed: TestClient) -> Headers:
    return holder(keyed, "bob")


@pytest.fixture
def adas(keyed: TestClient, ada: Headers, database: Database) -> Adas:
    keyed.headers.update(ada)
    ended, queued = submit(keyed), submit(keyed)
    train_all(database, ended)
    assert keyed.put("/v1/datasets/mine", content=SET).status_code == 201
    asked = opening()
    watched = keyed.post("/v1/ingest/runs", json=asked).json()
    hook = keyed.post("/v1/webhooks", json={"url": "https://ci.example/clinic"}).json()
    ping = keyed.post(hook["links"]["ping"]).json()["id"]
    for name in ada:
        del keyed.headers[name]
    run = str(run_ids(database, ended)[0])
    return Adas(ended["id"], queued["id"], run, watched["run_id"], asked["token"], hook["id"], ping)


def asked(client: TestClient, route: str, adas: Adas, headers: Headers, query: str = "") -> httpx2.Response:
    method, template = route.split(" ")
    body = OF_ONE[route]
    json = None if body is None else body(adas)
    return client.request(method, adas.fill(template) + query, params=QUERIES.get(template), json=json, headers=headers)


def test_every_route_says_what_it_tells_another_owner(keyed: TestClient) -> None:
    routes = iter_route_contexts(keyed.app.routes)  # type: ignore[attr-defined]  # it is ours
    there = {f"{method} {route.path_format}" for route in routes for method in set(route.methods or ()) - {"HEAD"}}
    groups = [set(OF_ONE), LISTS, MAKES_OWN, OF_NOBODY, ADMINS]
    assert set.union(*groups) == there
    assert sum(map(len, groups)) == len(there)


def test_what_one_owner_has_is_not_there_for_another(keyed: TestClient, adas: Adas, ada: Headers, bob: Headers) -> None:
    nothing = Adas(NOBODY, NOBODY, NOBODY, NOBODY, adas.token, NOBODY, NOBODY, "nothing")
    for route in OF_ONE:
        refused = problem(asked(keyed, route, adas, bob), 404)
        unknown = problem(asked(keyed, route, nothing, bob), 404)
        for mine in (adas.experiment, adas.run, adas.watched, adas.webhook, adas.delivery):
            refused = {name: str(value).replace(mine, NOBODY) for name, value in refused.items()}
        refused = {name: str(value).replace("mine", "nothing") for name, value in refused.items()}
        assert refused == {name: str(value) for name, value in unknown.items()}, route
    # The same requests find it where they are its owner's: with a 409 where there is nothing to do.
    for route in OF_ONE:
        assert asked(keyed, route, adas, ada).status_code in {200, 201, 202, 204, 409}, route


READABLE = {
    *(route for route in OF_ONE if route.startswith("GET") and "webhooks" not in route),
    "POST /v1/comparisons",
}
"""What a key shows that ``reads`` the owner. All else is as if there were nothing: a new route has to be put here."""


@pytest.fixture
def eve(keyed: TestClient) -> Headers:
    """Her key may submit, and shows what ada has."""
    return holder(keyed, "eve", "submit", reads=["ada"])


def test_what_is_shared_can_be_read_and_nothing_else(keyed: TestClient, adas: Adas, ada: Headers, eve: Headers) -> None:
    def state(headers: Headers) -> list[Any]:
        experiments = keyed.get("/v1/experiments", headers=headers).json()["items"]
        sets = keyed.get("/v1/datasets", headers=headers).json()["items"]
        return [[(its["id"], its["state"]) for its in experiments], [its["name"] for its in sets]]

    nothing = Adas(NOBODY, NOBODY, NOBODY, NOBODY, adas.token, NOBODY, NOBODY, "nothing")
    before = state(ada)
    for route in OF_ONE:
        if route not in READABLE:
            theirs, unknown = (problem(asked(keyed, route, whose, eve), 404) for whose in (adas, nothing))
            for mine in (adas.experiment, adas.run, adas.watched, adas.webhook, adas.delivery):
                theirs = {name: str(value).replace(mine, NOBODY) for name, value in theirs.items()}
            theirs = {name: str(value).replace("mine", "nothing") for name, value in theirs.items()}
            assert theirs == {name: str(value) for name, value in unknown.items()}, route
    assert state(ada) == state(eve) == before
    for route in READABLE:
        who = "?owner=ada" if "datasets" in route else ""
        shown, own = (asked(keyed, route, adas, headers, who) for headers in (eve, ada))
        assert shown.status_code == own.status_code == 200, route
    problem(keyed.delete("/v1/datasets/mine?owner=ada", headers=eve), 404)


def test_lists_hold_what_is_shared_and_can_be_asked_for_one_owner(
    keyed: TestClient, adas: Adas, bob: Headers, eve: Headers
) -> None:
    own = keyed.post("/v1/experiments", json=spec(), headers=eve).json()["id"]
    keyed.post("/v1/experiments", json=spec(), headers=bob)
    assert keyed.put("/v1/datasets/hers", content=SET, headers=eve).status_code == 201

    def found(path: str, **params: str) -> list[tuple[str, str]]:
        items = keyed.get(path, headers=eve, params=params).json()["items"]
        return [(item["owner"], item.get("id", item.get("name"))) for item in items]

    for path, mine in (("/v1/experiments", own), ("/v1/datasets", "hers")):
        every = found(path)
        assert every[0] == ("eve", mine)
        assert {owner for owner, _ in every[1:]} == {"ada"}
        assert found(path, owner="ada") == every[1:]
        assert found(path, owner="eve") == every[:1]
        assert found(path, owner="bob") == []
    assert keyed.get("/v1/webhooks", headers=eve).json()["items"] == []
    problem(keyed.get("/v1/quota?owner=ada", headers=eve), 404)
    assert adas.webhook


def test_what_is_shared_cannot_be_trained_on(keyed: TestClient, adas: Adas, eve: Headers) -> None:
    earlier = spec(remedies="suggest", suggest_from=adas.experiment)
    theirs = spec(dataset={"kind": "uploaded", "name": "mine"})
    for path in ("/v1/experiments", "/v1/experiments/validate"):
        problem(keyed.post(path, json=earlier, headers=eve), 404)
        assert problem(keyed.post(path, json=theirs, headers=eve), 422)["errors"][0]["allowed"] == []


def test_a_key_that_is_gone_shows_nothing_any_more(keyed: TestClient, adas: Adas) -> None:
    key = new_key(keyed, "eve", "read", reads=["ada", "bob", "ada"])
    assert key["reads"] == ["ada", "bob"]
    path, headers = f"/v1/experiments/{adas.experiment}", bearer(key["key"])
    assert keyed.get(path, headers=headers).json()["owner"] == "ada"
    problem(keyed.post(f"{path}/cancel", headers=headers), 403)
    rotated = keyed.post(key["links"]["rotate"], json={"overlap_s": 0}, headers=ADMIN).json()
    assert keyed.get(path, headers=bearer(rotated["key"])).status_code == 200
    keyed.delete(key["links"]["self"], headers=ADMIN)
    problem(keyed.get(path, headers=bearer(rotated["key"])), 401)


def test_an_admin_finds_it_all(keyed: TestClient, adas: Adas) -> None:
    for route in OF_ONE:
        if "datasets" not in route:
            assert asked(keyed, route, adas, ADMIN).status_code in {200, 201, 202, 204, 409}, route


def test_lists_hold_what_is_the_callers_own(keyed: TestClient, adas: Adas, ada: Headers, bob: Headers) -> None:
    def found(path: str, headers: Headers, **params: str) -> list[Any]:
        items = keyed.get(path, headers=headers, params=params).json()["items"]
        return [item.get("id", item.get("name")) for item in items]

    watched = keyed.get(f"/v1/runs/{adas.watched}", headers=ada).json()["experiment_id"]
    every = {
        "/v1/experiments": [watched, adas.queued, adas.experiment],
        "/v1/datasets": ["mine"],
        "/v1/webhooks": [adas.webhook],
    }
    for path, theirs in every.items():
        assert found(path, ada) == found(path, ada, owner="ada") == theirs
        assert found(path, bob) == found(path, bob, owner="ada") == found(path, ada, owner="bob") == []
        assert found(path, ADMIN) == found(path, ADMIN, owner="ada") == theirs
        assert found(path, ADMIN, owner="bob") == []
    assert found("/v1/experiments", bob, search="small") == []
    used = [keyed.get("/v1/quota", headers=who).json()["used"]["queued_runs"] for who in (ada, bob)]
    assert used == [2, 0]
    problem(keyed.get("/v1/quota?owner=ada", headers=bob), 404)
    assert keyed.get("/v1/quota?owner=ada", headers=ADMIN).json()["used"]["queued_runs"] == 2


def test_nothing_of_another_can_be_referred_to(keyed: TestClient, adas: Adas, bob: Headers) -> None:
    own = keyed.post("/v1/experiments", json=spec(), headers=bob).json()["id"]
    for ids in ([own, adas.experiment], [adas.experiment, own]):
        problem(keyed.post("/v1/comparisons", json={"experiment_ids": ids}, headers=bob), 404)
    earlier = spec(remedies="suggest", suggest_from=adas.experiment)
    theirs = spec(dataset={"kind": "uploaded", "name": "mine"})
    for path in ("/v1/experiments", "/v1/experiments/validate"):
        problem(keyed.post(path, json=earlier, headers=bob), 404)
        assert problem(keyed.post(path, json=theirs, headers=bob), 422)["errors"][0]["allowed"] == []
    batch = keyed.post("/v1/experiments/batch", json={"items": [earlier, theirs]}, headers=bob).json()
    assert [item["status"] for item in batch["items"]] == [404, 422]
    assert "mine" not in batch["items"][1]["error"]["errors"][0]["allowed"]


def test_the_same_words_of_two_owners_are_two_things(keyed: TestClient, adas: Adas, ada: Headers, bob: Headers) -> None:
    once = {"Idempotency-Key": "night"}
    first, second = (keyed.post("/v1/experiments", json=spec(), headers=who | once).json() for who in (ada, bob))
    assert (first["owner"], second["owner"]) == ("ada", "bob")
    assert keyed.put("/v1/datasets/mine", content=SET, headers=bob).status_code == 201
    assert keyed.delete("/v1/datasets/mine", headers=bob).status_code == 204
    assert keyed.get("/v1/datasets/mine", headers=ada).status_code == 200
    again = opening(token=adas.token)
    watched = keyed.post("/v1/ingest/runs", json=again, headers=bob)
    assert watched.status_code == 201
    assert watched.json()["run_id"] != adas.watched
    assert len(again["network"]["layers"]) == LAYERS


def test_an_admin_names_the_owner_of_a_data_set(keyed: TestClient, adas: Adas, bob: Headers) -> None:
    assert keyed.put("/v1/datasets/mine", content=SET, headers=ADMIN).status_code == 201
    shown = keyed.get("/v1/datasets", headers=ADMIN).json()["items"]
    links = {item["owner"]: item["links"]["self"] for item in shown}
    assert links == {"admin": "/v1/datasets/mine", "ada": "/v1/datasets/mine?owner=ada"}
    for owner, link in links.items():
        assert keyed.get(link, headers=ADMIN).json()["owner"] == owner
    problem(keyed.get(links["ada"], headers=bob), 404)
    problem(keyed.delete(links["ada"], headers=bob), 404)
    assert keyed.delete(links["ada"], headers=ADMIN).status_code == 204
    problem(keyed.get(links["ada"], headers=ADMIN), 404)
    assert keyed.get(links["admin"], headers=ADMIN).status_code == 200
    assert adas.dataset == "mine"
