"""Keys: who may do what, from their making to their end."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from contextlib import ExitStack

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.changes import KEYS
from api.http.keyring import Keyring
from api.http.sse import Pace
from models.owners.quotas import Quota
from models.runs import CHANGED_CHANNEL
from models.settings import Settings
from models.storage.database import Database
from tests.api.conftest import ADDRESS, served
from tests.api.keyed import ADMIN, KEY, bearer, holder, new_key
from tests.api.made import problem, spec
from tests.eventually import HANGS_S
from tests.statements import sent_to

NOBODY = "00000000-0000-7000-8000-000000000000"


def opens(client: TestClient, secret: str) -> bool:
    status = client.get("/v1/experiments", headers=bearer(secret)).status_code
    assert status in {200, 401}
    return status == 200


def test_a_key_opens_for_its_owner_and_is_told_once(keyed: TestClient, database: Database) -> None:
    made = keyed.post(
        "/v1/keys", json={"owner": "ada", "name": "night runs", "scopes": ["submit", "read"]}, headers=ADMIN
    )
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert keyed.get(made.headers["location"], headers=ADMIN).json() == {
        name: value for name, value in key.items() if name != "key"
    }
    assert (key["owner"], key["name"], key["scopes"]) == ("ada", "night runs", ["read", "submit"])
    assert key["key"].startswith(key["starts_with"])
    assert len(key["starts_with"]) < 10 < len(key["key"])
    sent = keyed.post("/v1/experiments", json=spec(), headers=bearer(key["key"]))
    assert sent.json()["owner"] == "ada"
    assert keyed.get("/v1/experiments", headers={"X-API-Key": key["key"]}).json()["items"][0]["owner"] == "ada"
    with database.begin() as session:
        stored = session.execute(text("SELECT api_key::text FROM api_key")).scalar_one()
    assert key["key"][len(key["starts_with"]) :] not in stored


def test_a_rotated_key_has_two_secrets_for_the_overlap(keyed: TestClient) -> None:
    first = new_key(keyed)
    rotate = first["links"]["rotate"]

    def rotated(overlap_s: float) -> str:
        answer = keyed.post(rotate, json={"overlap_s": overlap_s}, headers=ADMIN)
        assert answer.headers["cache-control"] == "no-store"
        return str(answer.json()["key"])

    second = rotated(600)
    assert [opens(keyed, secret) for secret in (first["key"], second)] == [True, True]
    third = rotated(600)
    assert [opens(keyed, secret) for secret in (first["key"], second, third)] == [False, True, True]
    fourth = rotated(0)
    assert [opens(keyed, secret) for secret in (second, third, fourth)] == [False, False, True]


def test_a_revoked_key_opens_nothing(keyed: TestClient) -> None:
    key, other = new_key(keyed), new_key(keyed)
    assert opens(keyed, key["key"])
    assert keyed.delete(key["links"]["self"], headers=ADMIN).status_code == 204
    assert not opens(keyed, key["key"])
    assert opens(keyed, other["key"])
    for method, path in (("GET", "self"), ("DELETE", "self"), ("POST", "rotate")):
        problem(keyed.request(method, key["links"][path], json={} if path == "rotate" else None, headers=ADMIN), 404)


def test_another_process_hears_of_it_in_time(keyed: TestClient, database: Database) -> None:
    """Each ring is that of a process."""
    patient, other = Keyring(database, Quota(), 600), Keyring(database, Quota(), 0)
    key = new_key(keyed)

    def opened() -> list[bool]:
        return [asyncio.run(ring.holder(key["key"])) is not None for ring in (patient, other)]

    assert opened() == [True, True]
    keyed.delete(key["links"]["self"], headers=ADMIN)
    assert opened() == [True, False]
    patient.forget()
    assert opened() == [False, False]


def test_other_processes_are_told_of_every_secret_that_ends(keyed: TestClient, database: Database) -> None:
    """Else what streams under it elsewhere would go on until its next look."""
    links = new_key(keyed)["links"]
    with database.listening(CHANGED_CHANNEL) as connection:
        keyed.post(links["rotate"], json={"overlap_s": 0}, headers=ADMIN)
        keyed.delete(links["self"], headers=ADMIN)
        heard = [notice.payload for notice in connection.notifies(timeout=HANGS_S, stop_after=2)]
    assert heard == [KEYS, KEYS]


def test_an_expired_key_opens_nothing(keyed: TestClient, database: Database) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    key = new_key(keyed, expires_at=soon.isoformat())
    assert opens(keyed, key["key"])
    with database.begin() as session:
        session.execute(text("UPDATE api_key SET expires_at = clock_timestamp()"))
    other = new_key(keyed)  # after which the keys are read anew
    assert not opens(keyed, key["key"])
    assert opens(keyed, other["key"])
    assert "expired" in problem(keyed.post(key["links"]["rotate"], json={}, headers=ADMIN), 409)["detail"]
    assert keyed.get(key["links"]["self"], headers=ADMIN).json()["starts_with"] == key["starts_with"]


def test_unknown_keys_ask_the_database_for_nothing(keyed: TestClient, database: Database) -> None:
    known = new_key(keyed)["key"]
    ring = Keyring(database, Quota(), 600)
    with sent_to(database) as statements:
        for number in range(200):
            assert asyncio.run(ring.holder(f"gc_{number}")) is None
        assert asyncio.run(ring.holder(known)) is not None
    assert len(statements) == 1


def test_when_a_key_was_used_is_noted_beside_the_requests(keyed: TestClient) -> None:
    used, idle = new_key(keyed), new_key(keyed)
    for _ in range(3):
        assert opens(keyed, used["key"])
    assert keyed.get(used["links"]["self"], headers=ADMIN).json()["last_used_at"] is None
    keyed.app.state.ring.note_uses()  # type: ignore[attr-defined]  # as the app does once a minute
    assert keyed.get(used["links"]["self"], headers=ADMIN).json()["last_used_at"] is not None
    assert keyed.get(idle["links"]["self"], headers=ADMIN).json()["last_used_at"] is None


def test_uses_are_noted_when_the_clinic_ends(database_url: str, database: Database) -> None:
    app = create_app(Settings(database_url=SecretStr(database_url), api_key=SecretStr(KEY)))
    with TestClient(app, base_url=ADDRESS) as client:
        assert opens(client, new_key(client)["key"])
    with database.begin() as session:
        assert session.execute(text("SELECT last_used_at FROM api_key")).scalar_one() is not None


def test_an_admin_key_makes_keys_and_sees_every_owner(keyed: TestClient) -> None:
    root = holder(keyed, "ops", "admin")
    made = keyed.post("/v1/keys", json={"owner": "bob", "name": "b", "scopes": ["read"]}, headers=root)
    assert made.status_code == 201
    sent = keyed.post("/v1/experiments", json=spec(), headers=holder(keyed, "ada")).json()
    assert keyed.get(sent["links"]["self"], headers=root).json()["owner"] == "ada"
    assert keyed.post("/v1/experiments", json=spec(), headers=root).json()["owner"] == "ops"


def test_keys_are_listed_newest_first_and_by_owner(keyed: TestClient) -> None:
    made = [new_key(keyed, owner)["id"] for owner in ("ada", "bob", "ada")]

    def found(**params: str | int) -> tuple[list[str], str]:
        page = keyed.get("/v1/keys", params=params, headers=ADMIN).json()
        assert "key" not in json.dumps([list(item) for item in page["items"]])
        return [item["id"] for item in page["items"]], page["next_page_token"]

    assert found() == (made[::-1], "")
    assert found(owner="ada") == ([made[2], made[0]], "")
    first, token = found(page_size=2)
    assert first == [made[2], made[1]]
    assert found(page_size=2, page_token=token) == ([made[0]], "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", ""),
        ("owner", "a\u202eb"),
        ("owner", "a" * 201),
        ("name", 7),
        ("scopes", []),
        ("scopes", ["write"]),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "tomorrow"),
        ("secret", "of my own"),
    ],
)
def test_a_key_that_cannot_be_is_refused(keyed: TestClient, field: str, value: object) -> None:
    asked = {"owner": "ada", "name": "n", "scopes": ["read"]} | {field: value}
    refused = problem(keyed.post("/v1/keys", json=asked, headers=ADMIN), 422)
    assert refused["errors"][0]["field"].startswith(field)
    assert keyed.get("/v1/keys", headers=ADMIN).json()["items"] == []


def test_a_clinic_without_a_key_says_why_it_makes_none(reader: TestClient) -> None:
    asked = {"owner": "ada", "name": "n", "scopes": ["read"]}
    for method, path, body in (
        ("POST", "/v1/keys", asked),
        ("GET", "/v1/keys", None),
        ("GET", f"/v1/keys/{NOBODY}", None),
        ("DELETE", f"/v1/keys/{NOBODY}", None),
        ("POST", f"/v1/keys/{NOBODY}/rotate", {}),
    ):
        assert "CLINIC_API_KEY" in problem(reader.request(method, path, json=body), 409)["detail"]


def test_without_a_database_a_key_is_a_503() -> None:
    nowhere = Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"), api_key=SecretStr(KEY))
    client = TestClient(create_app(nowhere), base_url=ADDRESS)
    refused = client.get("/v1/catalogue/remedies", headers=bearer("gc_x"))
    assert problem(refused, 503)
    assert refused.headers["retry-after"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stream_ends_with_its_key_at_once(
    settings: Settings, processes: int, eventually: Callable[[Callable[[], bool]], bool]
) -> None:
    """Long before the next look that it takes by itself, also where another process is asked to end the key."""
    never = Pace(sweep_s=3600)
    apps = [create_app(settings.model_copy(update={"api_key": SecretStr(KEY)}), never) for _ in range(processes)]
    with ExitStack() as open_ones:
        clients = []
        for app in apps:
            address = open_ones.enter_context(served(app))
            assert eventually(app.state.changes.listening.is_set)
            clients.append(open_ones.enter_context(httpx2.Client(base_url=address, trust_env=False, timeout=60)))
        asked, streams = clients[0], clients[-1]
        key = new_key(asked)
        headers = bearer(key["key"])
        events = asked.post("/v1/experiments", json=spec(), headers=headers).json()["links"]["events"]
        with streams.stream("GET", events, headers=headers) as answer:
            lines = answer.iter_lines()
            next(lines)
            asked.delete(key["links"]["self"], headers=ADMIN)
            assert "event: end" not in list(lines)
        problem(streams.get(events, headers=headers), 401)
