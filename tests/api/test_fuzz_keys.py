"""Whatever is sent to make keys, set quotas or get in: never a 500, nothing kept that was refused, nobody let in."""

import json
from typing import Any

from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.keyed import ADMIN, KEY
from tests.api.test_fuzz import VALUES, sound

QUIET = settings(max_examples=40, deadline=None, derandomize=True)
SENT = ADMIN | {"Content-Type": "application/json"}
KEYS = {"owner": "ada", "name": "n", "scopes": ["read"], "expires_at": None}
QUOTAS = {"queued_runs": 1, "device_seconds_per_day": 1.0, "stored_bytes": 1, "requests_per_minute": 1}


@QUIET
@given(field=st.sampled_from([*KEYS, "x"]), value=VALUES)
def test_any_value_in_any_field_of_a_key(keyed: TestClient, field: str, value: Any) -> None:
    before = len(keyed.get("/v1/keys", headers=ADMIN).json()["items"])
    answer = keyed.post("/v1/keys", content=json.dumps(KEYS | {field: value}).encode(), headers=SENT)
    assert answer.status_code in {201, 400, 422}, answer.text
    kept = keyed.get("/v1/keys", headers=ADMIN)
    assert len(kept.json()["items"]) == before + (answer.status_code == 201)
    if answer.status_code == 201:
        keyed.delete(answer.json()["links"]["self"], headers=ADMIN)


@QUIET
@given(field=st.sampled_from([*QUOTAS, "x"]), value=VALUES, owner=st.text(max_size=20))
def test_any_value_of_a_quota_and_any_owner(keyed: TestClient, field: str, value: Any, owner: str) -> None:
    owner = owner.encode(errors="replace").decode()
    content = json.dumps(QUOTAS | {field: value}).encode()
    sound(keyed, "PUT", "/v1/quota", params={"owner": owner}, content=content, headers=SENT)
    for path in ("/v1/quota", "/v1/keys", "/v1/audit", "/v1/datasets", "/v1/datasets/mine"):
        sound(keyed, "GET", path, params={"owner": owner}, headers=ADMIN)


@QUIET
@given(secret=st.binary(max_size=60).filter(lambda its: not {0, 10, 13} & set(its)), known=st.booleans())
def test_nothing_opens_but_a_key(keyed: TestClient, secret: bytes, known: bool) -> None:  # noqa: FBT001 -- Hypothesis gives it
    given_ = b"gc_" + secret if known else secret
    for headers in ({b"Authorization": b"Bearer " + given_}, {b"X-API-Key": given_}):
        answer = keyed.get("/v1/experiments", headers=headers)
        assert answer.status_code == (200 if given_.strip() == KEY.encode() else 401)
