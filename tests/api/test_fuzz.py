"""Whatever a client sends, the answer is the client's to act on: never a 500, and nothing half stored."""

import json
from typing import Any

from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from models.storage.database import Database
from tests.api.made import run_ids, spec, submit

QUIET = settings(max_examples=60, deadline=None, derandomize=True)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**18, 10**400, -(10**18), 1e308, 5e-324, True, "1", "NaN"]),
)
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "\x00", "\ud800", "mlp", "l2", "a" * 5000, "🙂"]))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
FIELDS = [
    "name",
    "dataset",
    "dataset.split_seed",
    "dataset.test_fraction",
    "dataset.validation_fraction",
    "network",
    "network.depth",
    "network.width",
    "network.hidden",
    "network.activation",
    "network.init",
    "network.normalization",
    "network.dropout",
    "loss",
    "optimizer",
    "optimizer.learning_rate",
    "batch_size",
    "drop_last",
    "epochs",
    "steps",
    "remedies",
    "remedies.0.strength",
    "remedies.1.init",
    "design",
    "variants",
    "seeds",
    "tune",
    "trace",
    "trace.every",
    "budget",
    "stop_when",
    "device",
    "priority",
    "not_before",
    "start_before",
    "end_before",
    "deadline",
    "max_parallel",
    "labels",
]
ROUTES = ["/v1/experiments", "/v1/experiments/validate"]


def with_field(path: str, value: Any) -> dict[str, Any]:
    """A sound spec but for one field."""
    remedies = [{"kind": "l2"}, {"kind": "init", "init": {"kind": "normal", "std": 0.1}}]
    whole = spec(remedies=remedies, trace={"every": 1})
    place: Any = whole
    *way, last = path.split(".")
    for part in way:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return whole


def sound(client: TestClient, method: str, path: str, **sent: Any) -> None:
    """The answer is no mistake of the service, and an error is problem details."""
    response = client.request(method, path, **sent)
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert len(response.content) < 100_000
        assert response.json()["status"] == response.status_code


@QUIET
@given(path=st.sampled_from(FIELDS), value=VALUES)
def test_any_value_in_any_field_of_a_spec(client: TestClient, path: str, value: Any) -> None:
    content = json.dumps(with_field(path, value)).encode()
    for route in ROUTES:
        sound(client, "POST", route, content=content, headers={"Content-Type": "application/json"})
    # What was accepted can be read again.
    assert client.get("/v1/experiments").status_code == 200


@QUIET
@given(body=st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_as_a_body(client: TestClient, body: bytes) -> None:
    for route in (*ROUTES, "/v1/predictions"):
        sound(client, "POST", route, content=body, headers={"Content-Type": "application/json"})


@QUIET
@given(
    name=st.sampled_from(
        ["state", "label", "owner", "created_after", "created_before", "page_size", "page_token", "wait", "signal",
         "layers", "from", "to", "points"]
    ),
    value=st.one_of(
        TEXTS.filter(lambda text: "\ud800" not in text),
        NUMBERS.map(str),
        st.datetimes().map(lambda moment: f"{moment.isoformat()}+14:00"),
        st.datetimes().map(lambda moment: f"{moment.isoformat()}-14:00"),
    ),
    tags=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)  # fmt: skip
def test_any_value_of_any_parameter(client: TestClient, database: Database, name: str, value: str, tags: str) -> None:
    experiment = client.get("/v1/experiments").json()["items"] or [submit(client)]
    run_id = run_ids(database, experiment[0])[0]
    own = experiment[0]["links"]
    params = {"signal": "weight_norm"} | {name: value}
    if name != "wait":
        for path in ("/v1/experiments", own["runs"], f"/v1/runs/{run_id}/trace", f"/v1/runs/{run_id}/curves"):
            sound(client, "GET", path, params=params, headers={"If-None-Match": tags, "Accept": "*/*"})
    elif not value.lstrip("0").startswith(tuple("123456789")):
        sound(client, "GET", own["self"], params=params, headers={"If-None-Match": tags or "x"})
