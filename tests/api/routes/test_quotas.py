"""What an owner may have: refused beyond it, told before, never passed by two at once."""

import datetime as dt
import threading
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from models import runs
from models.settings import Settings
from models.storage.database import Database
from tests.api.conftest import served
from tests.api.keyed import ADMIN, KEY, Headers, holder, new_key
from tests.api.made import Json, claim, problem, run_ids, spec, train
from tests.api.routes.test_datasets import OTHER, SET

RUNS = 2
"""Of the experiment that ``spec`` asks for."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        storage_url=tmp_path.as_uri(),
        quota_queued_runs=2 * RUNS,
        quota_requests_per_minute=None,
    )


@pytest.fixture
def ada(keyed: TestClient) -> Headers:
    return holder(keyed, "ada")


def allow(client: httpx2.Client, owner: str = "ada", **limits: float) -> Json:
    response = client.put("/v1/quota", params={"owner": owner}, json=limits, headers=ADMIN)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def sent(client: httpx2.Client, headers: Headers, **changes: Any) -> httpx2.Response:
    return client.post("/v1/experiments", json=spec(**changes), headers=headers)


def test_more_runs_than_allowed_are_a_429_that_says_what_is(
    keyed: TestClient, ada: Headers, database: Database
) -> None:
    experiments = [sent(keyed, ada).json() for _ in range(2)]
    refused = sent(keyed, ada)
    (error,) = problem(refused, 429)["errors"]
    assert (error["field"], error["value"], error["allowed"]) == ("quota.queued_runs", 3 * RUNS, 2 * RUNS)
    assert int(refused.headers["retry-after"]) > 0
    assert len(keyed.get("/v1/experiments", headers=ada).json()["items"]) == 2
    # Others are not held up, and neither is whoever waits.
    assert sent(keyed, holder(keyed, "bob")).status_code == sent(keyed, ADMIN).status_code == 202
    claim(database, run_ids(database, experiments[0])[0])
    assert sent(keyed, ada, seeds=[0]).status_code == 202
    assert sent(keyed, ada, seeds=[0]).status_code == 429


def test_what_can_never_be_is_not_asked_to_wait(keyed: TestClient, ada: Headers) -> None:
    refused = sent(keyed, ada, seeds=list(range(2 * RUNS + 1)))
    problem(refused, 429)
    assert "retry-after" not in refused.headers


def test_a_batch_stores_what_there_is_room_for(keyed: TestClient, ada: Headers) -> None:
    items = [spec(), spec(seeds=[0, 1, 2]), spec(steps=-1), spec(), spec()]
    answer = keyed.post("/v1/experiments/batch", json={"items": items}, headers=ada).json()
    assert [item["status"] for item in answer["items"]] == [202, 429, 422, 202, 429]
    assert answer["items"][4]["error"]["errors"][0]["field"] == "quota.queued_runs"
    assert keyed.get("/v1/quota", headers=ada).json()["used"]["queued_runs"] == 2 * RUNS


def test_what_there_was_no_room_for_is_tried_again_under_the_key_of_the_batch(
    keyed: TestClient, ada: Headers, database: Database
) -> None:
    body = {"items": [spec(), spec(steps=-1), spec(), spec(name="later")]}

    def sent_again() -> list[Json]:
        answer = keyed.post("/v1/experiments/batch", json=body, headers=ada | {"Idempotency-Key": "night"})
        return list(answer.json()["items"])

    first, full = sent_again(), sent_again()
    assert [[item["status"] for item in items] for items in (first, full)] == [[202, 422, 202, 429]] * 2
    allow(keyed, queued_runs=3 * RUNS)
    *same, later = sent_again()
    assert same == first[:3]
    assert later["status"] == 202
    assert sent_again()[3]["experiment"]["id"] == later["experiment"]["id"]
    assert len(keyed.get("/v1/experiments", headers=ada).json()["items"]) == 3
    # What was added to the answer is forgotten with its experiment, too.
    assert keyed.delete(later["experiment"]["links"]["self"], headers=ada).status_code == 204
    assert sent_again()[3]["status"] == 410
    with database.begin() as session:
        kept = session.execute(text("SELECT answer::text FROM idempotency")).scalar_one()
    assert "later" not in kept


def test_a_retry_counts_as_a_submission(keyed: TestClient, ada: Headers, database: Database) -> None:
    failed = sent(keyed, ada).json()
    with database.begin() as session:
        session.execute(text("UPDATE run SET state = 'failed'"))
        session.execute(text("UPDATE experiment SET state = 'failed', ended_at = clock_timestamp()"))
    for _ in range(2):
        sent(keyed, ada)
    problem(keyed.post(f"{failed['links']['self']}/retry", headers=ada), 429)
    states = keyed.get(failed["links"]["self"], headers=ada).json()["runs"]
    assert states["failed"] == RUNS


def test_of_many_at_once_no_more_come_in_than_are_allowed(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"api_key": SecretStr(KEY), "quota_queued_runs": 3 * RUNS}))
    with served(app) as address, httpx2.Client(base_url=address, trust_env=False, timeout=120) as client:
        ada = holder(client, "ada")
        statuses: list[int] = []

        def submit() -> None:
            statuses.append(sent(client, ada).status_code)

        threads = [threading.Thread(target=submit) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [202] * 3 + [429] * 7
        assert client.get("/v1/quota", headers=ada).json()["used"]["queued_runs"] == 3 * RUNS


def test_seconds_of_devices_are_those_of_a_day(keyed: TestClient, ada: Headers, database: Database) -> None:
    allow(keyed, device_seconds_per_day=100.0, queued_runs=100)
    first, second = run_ids(database, sent(keyed, ada).json())
    for run_id in (first, second):
        train(database, run_id)
    now = dt.datetime.now(dt.UTC)

    def spent(run_id: uuid.UUID, seconds: float, hours_ago: float) -> None:
        ended_at = now - dt.timedelta(hours=hours_ago)
        with database.begin() as session:
            values = {"id": run_id, "from": ended_at - dt.timedelta(seconds=seconds), "to": ended_at}
            session.execute(text("UPDATE attempt SET started_at = :from, ended_at = :to WHERE run_id = :id"), values)

    def used() -> float:
        return float(keyed.get("/v1/quota", headers=ada).json()["used"]["device_seconds"])

    spent(first, 60, 20)
    spent(second, 39, 1)
    assert used() == 99
    assert sent(keyed, ada).status_code == 202
    spent(second, 50, 1)
    refused = sent(keyed, ada)
    (error,) = problem(refused, 429)["errors"]
    assert (error["field"], error["value"], error["allowed"]) == ("quota.device_seconds_per_day", 110, 100)
    # When the first run is a day back there is room; the second alone is not too much.
    assert abs(int(refused.headers["retry-after"]) - 4 * 3600) < 600
    spent(second, 100, 1)
    assert abs(int(sent(keyed, ada).headers["retry-after"]) - 23 * 3600) < 600
    spent(second, 100, 25)
    assert used() == 60
    assert sent(keyed, ada).status_code == 202


def test_an_attempt_counts_however_it_ends_and_is_deleted(keyed: TestClient, ada: Headers, database: Database) -> None:
    allow(keyed, device_seconds_per_day=450.0, queued_runs=100)
    experiment = sent(keyed, ada, seeds=[0, 1, 2]).json()
    given_back, failed, stopped = run_ids(database, experiment)
    leases = [claim(database, run_id)[0] for run_id in (given_back, failed, stopped)]
    with database.begin() as session:
        runs.give_back(session, leases[0], "worker is shut down")
        runs.fail(session, leases[1], {"title": "Lost"})
        runs.stop(session, leases[2])
    claim(database, given_back)
    with database.begin() as session:
        session.execute(text("UPDATE attempt SET started_at = started_at - interval '100 s'"))

    def used(owner: str = "ada") -> float:
        answer = keyed.get("/v1/quota", params={"owner": owner}, headers=ADMIN).json()
        return float(answer["used"]["device_seconds"])

    assert 400 <= used() < 450
    allow(keyed, device_seconds_per_day=400.0, queued_runs=100)
    assert int(sent(keyed, ada).headers["retry-after"]) > 0
    assert keyed.delete(experiment["links"]["self"], headers=ada).status_code == 204
    after = used()
    assert 400 <= after < 450
    assert used() == after  # nothing goes on
    assert used("bob") == 0
    assert abs(int(sent(keyed, ada).headers["retry-after"]) - 24 * 3600) < 600
    with database.begin() as session:
        session.execute(text("UPDATE deleted_attempt SET ended_at = ended_at - interval '1 day'"))
    assert used() == 0
    assert sent(keyed, ada).status_code == 202


def test_no_time_that_others_train_is_kept_or_what_is_old(database: Database, keyed: TestClient, ada: Headers) -> None:
    experiment = sent(keyed, ada).json()
    first, second = run_ids(database, experiment)
    for run_id in (first, second):
        train(database, run_id)
    with database.begin() as session:
        old = "UPDATE attempt SET ended_at = ended_at - interval '1 day' WHERE run_id = :id"
        session.execute(text(old), {"id": first})
        session.execute(text("UPDATE run SET source = 'ingested' WHERE id = :id"), {"id": second})
    assert keyed.delete(experiment["links"]["self"], headers=ada).status_code == 204
    with database.begin() as session:
        assert session.execute(text("SELECT count(*) FROM deleted_attempt")).scalar_one() == 0


def test_small_limits_are_said_as_they_are(keyed: TestClient, ada: Headers, database: Database) -> None:
    allow(keyed, device_seconds_per_day=0.01)
    train(database, run_ids(database, sent(keyed, ada).json())[0])
    with database.begin() as session:
        session.execute(text("UPDATE attempt SET started_at = ended_at - interval '1234.0125 s'"))
    detail = problem(sent(keyed, ada), 429)["detail"]
    assert detail == "1,234.0125 s of devices were used in the last 24 hours, and 0.01 are allowed"


def test_data_sets_have_so_many_bytes_in_all(keyed: TestClient, ada: Headers, tmp_path: Path) -> None:
    def put(name: str, content: bytes) -> httpx2.Response:
        return keyed.put(f"/v1/datasets/{name}", content=content, headers=ada)

    size = put("first", SET).json()["bytes"]
    allow(keyed, stored_bytes=2 * size)
    assert put("first", SET).status_code == 200  # the same again is no more
    assert put("second", SET).status_code == 201
    kept = sorted(path.name for path in tmp_path.rglob("*"))
    refused = put("first", OTHER)
    (error,) = problem(refused, 429)["errors"]
    assert (error["field"], error["allowed"]) == ("quota.stored_bytes", 2 * size)
    assert "retry-after" not in refused.headers
    assert sorted(path.name for path in tmp_path.rglob("*")) == kept
    assert keyed.get("/v1/quota", headers=ada).json()["used"]["stored_bytes"] == 2 * size
    keyed.delete("/v1/datasets/second", headers=ada)
    assert put("first", OTHER).status_code == 201


def test_an_admin_sets_an_owners_quota_and_takes_it_back(keyed: TestClient, ada: Headers) -> None:
    usual = keyed.get("/v1/quota", headers=ada).json()
    assert (usual["owner"], usual["limits"]["queued_runs"]) == ("ada", 2 * RUNS)
    changed = allow(keyed, queued_runs=RUNS, requests_per_minute=1_000)["limits"]
    assert changed == usual["limits"] | {"queued_runs": RUNS, "requests_per_minute": 1_000}
    assert keyed.get("/v1/quota", headers=ada).json()["limits"] == changed
    sent(keyed, ada)
    assert sent(keyed, ada).status_code == 429
    assert keyed.get("/v1/quota", params={"owner": "bob"}, headers=ADMIN).json()["limits"] == usual["limits"]
    for status in (204, 404):
        assert keyed.delete("/v1/quota", params={"owner": "ada"}, headers=ADMIN).status_code == status
    assert sent(keyed, ada).status_code == 202


def test_what_is_shown_of_owners_without_limits_is_what_holds(keyed: TestClient) -> None:
    root = holder(keyed, "ops", "admin")
    for owner in ("local", "admin"):
        its = holder(keyed, owner)
        for headers in (root, ADMIN, its):
            answer = keyed.get("/v1/quota", params={"owner": owner}, headers=headers)
            assert set(answer.json()["limits"].values()) == {None}
        assert sent(keyed, its, seeds=list(range(2 * RUNS + 1))).status_code == 202
        refused = keyed.put("/v1/quota", params={"owner": owner}, json={"queued_runs": 1}, headers=root)
        assert owner in problem(refused, 409)["detail"]


@pytest.mark.parametrize("owner", [" ", "ada ", " ada", "a\u200bda", "ada\u00a0", "\u0061\u0301da", ""])
def test_owners_that_look_like_others_are_given_nothing(keyed: TestClient, owner: str) -> None:
    problem(keyed.put("/v1/quota", params={"owner": owner}, json={}, headers=ADMIN), 422)
    asked = {"owner": owner, "name": "a test", "scopes": ["read"]}
    (error,) = problem(keyed.post("/v1/keys", json=asked, headers=ADMIN), 422)["errors"]
    assert error["field"] == "owner"
    assert keyed.get("/v1/keys", headers=ADMIN).json()["items"] == []


def test_owners_may_be_named_in_any_writing(keyed: TestClient) -> None:
    for owner in ("Ada Lovelace", "\u00e1da", "\u05d0\u05d3\u05d4", "\u30a2\u30c0"):
        assert allow(keyed, owner, queued_runs=1)["owner"] == new_key(keyed, owner)["owner"] == owner


def test_the_bootstrap_key_and_local_have_no_limits(keyed: TestClient, client: TestClient) -> None:
    for its, headers in ((keyed, ADMIN), (client, {})):
        answer = its.get("/v1/quota", headers=headers)
        assert set(answer.json()["limits"].values()) == {None}
        assert not [name for name in answer.headers if name.startswith("ratelimit")]
    assert "CLINIC_API_KEY" in problem(client.put("/v1/quota?owner=ada", json={}), 409)["detail"]


@pytest.mark.parametrize("limits", [{"queued_runs": -1}, {"requests_per_minute": 0}, {"stored_bytes": 2**63}, {"x": 1}])
def test_a_quota_that_cannot_be_is_refused(keyed: TestClient, limits: dict[str, int]) -> None:
    problem(keyed.put("/v1/quota", params={"owner": "ada"}, json=limits, headers=ADMIN), 422)


# --- rates -------------------------------------------------------------------------------------------------------


def test_a_rate_is_told_with_each_answer_and_refused_beyond(keyed: TestClient, ada: Headers) -> None:
    allow(keyed, requests_per_minute=3)
    left = []
    for _ in range(3):
        answer = keyed.get("/v1/catalogue/remedies", headers=ada)
        assert answer.status_code == 200
        assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-policy"]) == ("3", "3;w=60")
        assert 1 <= int(answer.headers["ratelimit-reset"]) <= 61
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert left == [2, 1, 0]
    refused = keyed.post("/v1/experiments", content=b"{", headers=ada)
    assert "3 requests" in problem(refused, 429)["detail"]
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert refused.headers["ratelimit-remaining"] == "0"


def test_an_owners_keys_share_its_rate_and_others_have_their_own(keyed: TestClient, ada: Headers) -> None:
    second, bob = holder(keyed, "ada"), holder(keyed, "bob")
    allow(keyed, requests_per_minute=2)
    path = "/v1/catalogue/remedies"
    assert [keyed.get(path, headers=who).status_code for who in (ada, second, ada, second)] == [200, 200, 429, 429]
    assert [keyed.get(path, headers=who).status_code for who in (bob, ADMIN)] == [200, 200]
    assert keyed.get("/healthz", headers=ada).status_code == 200
