"""Webhooks as their owner makes, changes, tries and reads them; another's do not exist."""

import base64
import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from api.routes.webhooks import MOST_WEBHOOKS
from models.runs.webhooks import take
from models.storage.database import Database
from models.storage.tables import Webhook, WebhookDelivery
from tests.api.made import Json, problem, submit
from tests.receiver import receiving
from worker.posting import Post
from worker.postman import Postman

URL = "https://hooks.example/clinic?team=vision"


def make(client: TestClient, **changes: object) -> Json:
    response = client.post("/v1/webhooks", json={"url": URL} | changes)
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == response.json()["links"]["self"]
    made: Json = response.json()
    return made


def test_the_secret_is_shown_once(client: TestClient) -> None:
    made = make(client)
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    assert made["secret"] != make(client)["secret"]
    seen = client.get(made["links"]["self"]).json()
    assert seen == {name: value for name, value in made.items() if name != "secret"}
    assert (seen["events"], seen["active"]) == (["experiment.ended"], True)


def test_they_are_listed_page_by_page_changed_and_deleted(client: TestClient) -> None:
    made = [make(client, events=["run.ended"]) for _ in range(3)]
    page = client.get("/v1/webhooks", params={"page_size": 2}).json()
    rest = client.get("/v1/webhooks", params={"page_token": page["next_page_token"]}).json()
    assert [one["id"] for one in page["items"] + rest["items"]] == [one["id"] for one in reversed(made)]
    path = made[0]["links"]["self"]
    changed = client.patch(path, json={"active": False, "url": "http://other.example/"}).json()
    assert (changed["active"], changed["url"], changed["events"]) == (False, "http://other.example/", ["run.ended"])
    assert client.patch(path, json={}).json() == changed == client.get(path).json()
    assert problem(client.post(made[0]["links"]["ping"]), 409)
    assert client.delete(path).status_code == 204
    assert problem(client.get(path), 404)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://a.example/"}, "url"), ({"url": "http://"}, "url"), ({"url": "http://me:pw@a.example/"}, "url"),
        ({"url": "http://a.example/#x"}, "url"), ({"url": "http://a.example:port/"}, "url"),
        ({"url": "http://a b.example/"}, "url"), ({"url": "http://ä.example/"}, "url"), ({"url": 5}, "url"),
        ({"url": "http://[::1/"}, "url"), ({"url": "http://" + "a" * 2_000}, "url"), ({"events": []}, "events"),
        ({"events": ["run.started"]}, "events[0]"), ({"secret": "mine"}, "secret"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_refused(client: TestClient, changes: Json, field: str) -> None:
    error = problem(client.post("/v1/webhooks", json={"url": URL} | changes), 422)["errors"][0]
    assert error["field"] == field
    if "secret" not in changes:
        assert problem(client.patch(make(client)["links"]["self"], json=changes), 422)["errors"][0]["field"] == field


def test_an_owner_has_so_many_at_most(client: TestClient) -> None:
    for _ in range(MOST_WEBHOOKS):
        make(client)
    assert problem(client.post("/v1/webhooks", json={"url": URL}), 409)


def test_what_was_sent_is_read_and_sent_again(client: TestClient, database: Database) -> None:
    with receiving() as receiver:
        links = make(client, url=receiver.url)["links"]
        ping = client.post(links["ping"])
        assert (ping.status_code, ping.json()["state"], ping.json()["attempts"]) == (202, "pending", [])
        assert ping.json()["next_attempt_at"]
        experiment = submit(client)
        client.post(experiment["links"]["cancel"])
        postman = Postman(database, Post(private=True), 60.0)
        assert postman.deliver() == 2
        page = client.get(links["deliveries"], params={"page_size": 1}).json()
        assert page["items"][0]["data"]["experiment_id"] == experiment["id"]
        older = client.get(links["deliveries"], params={"page_token": page["next_page_token"]}).json()
        assert [one["id"] for one in older["items"]] == [ping.json()["id"]]
        sent = client.get(ping.json()["links"]["self"]).json()
        assert (sent["state"], sent["attempts"][0]["status"], sent["next_attempt_at"]) == ("delivered", 204, None)
        assert client.get(links["deliveries"], params={"state": "dead"}).json()["items"] == []
        again = client.post(sent["links"]["replay"])
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        assert postman.deliver() == 1
    assert len(receiver.received) == 3
    assert len(client.get(ping.json()["links"]["self"]).json()["attempts"]) == 2


def test_pages_go_on_where_the_last_message_of_one_is_gone(client: TestClient, database: Database) -> None:
    links = make(client)["links"]
    made = [client.post(links["ping"]).json()["id"] for _ in range(3)]
    page = client.get(links["deliveries"], params={"page_size": 2}).json()
    assert [one["id"] for one in page["items"]] == [made[2], made[1]]
    with database.begin() as session:
        session.execute(delete(WebhookDelivery).where(WebhookDelivery.id == uuid.UUID(made[1])))
    rest = client.get(links["deliveries"], params={"page_token": page["next_page_token"]}).json()
    assert [one["id"] for one in rest["items"]] == [made[0]]


@pytest.mark.parametrize(
    "position",
    [str(uuid.UUID(int=1)), f"2026-11-23T12:50:12+00:00 {'x' * 36}", f"0001-01-01T00:00:00+23:59 {uuid.UUID(int=1)}",
     f"2026-13-01T00:00:00+00:00 {uuid.UUID(int=1)}", "2026-11-23T12:50:12+00:00"],
)  # fmt: skip
def test_what_is_no_token_of_deliveries_is_refused(client: TestClient, position: str) -> None:
    token = base64.urlsafe_b64encode(position.encode()).decode()
    answer = client.get(make(client)["links"]["deliveries"], params={"page_token": token})
    assert problem(answer, 422)["errors"][0]["field"] == "page_token"


def test_a_message_that_is_being_sent_is_not_replayed(client: TestClient, database: Database) -> None:
    ping = client.post(make(client)["links"]["ping"]).json()
    with database.begin() as session:
        assert take(session) is not None
    assert "being sent" in problem(client.post(ping["links"]["replay"]), 409)["detail"]
    with database.begin() as session:
        assert take(session) is None


def test_another_owners_webhook_does_not_exist(client: TestClient, database: Database) -> None:
    mine, links = make(client)["links"], make(client)["links"]
    delivery = client.post(links["ping"]).json()["links"]
    with database.begin() as session:
        other = uuid.UUID(links["self"].rsplit("/", 1)[1])
        session.execute(update(Webhook).where(Webhook.id == other).values(owner="another"))
    asked = [
        ("GET", links["self"]), ("PATCH", links["self"]), ("DELETE", links["self"]), ("POST", links["ping"]),
        ("GET", links["deliveries"]), ("GET", delivery["self"]), ("POST", delivery["replay"]),
        ("GET", delivery["self"].replace(links["self"], mine["self"])),
        ("POST", delivery["replay"].replace(links["self"], mine["self"])),
    ]  # fmt: skip
    for method, path in asked:
        assert problem(client.request(method, path, json={} if method == "PATCH" else None), 404), (method, path)
    assert [one["links"]["self"] for one in client.get("/v1/webhooks").json()["items"]] == [mine["self"]]
