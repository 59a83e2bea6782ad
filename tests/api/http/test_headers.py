"""What every answer tells a browser, whoever of us gives it."""

import base64
import hashlib
import re

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.http.headers import HEADERS
from models.storage.database import Database
from tests.api.made import run_ids, submit, train_all

STRICT = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def policy(response: httpx2.Response) -> dict[str, list[str]]:
    """The policy's directives, once the other headers are known to be there, each of them once."""
    for name, value in STRICT.items():
        assert response.headers.get_list(name) == [value]
    (given,) = response.headers.get_list("content-security-policy")
    return {name: rest for name, *rest in (one.split() for one in given.split(";"))}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/experiments", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/runs/x", 404),
        ("PATCH", "/v1/experiments", 405),
        ("POST", "/v1/experiments", 415),
    ],
)
def test_an_answer_that_is_no_page_may_load_nothing(reader: TestClient, method: str, path: str, status: int) -> None:
    response = reader.request(method, path)
    assert response.status_code == status
    directives = policy(response)
    assert set(directives) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert all(sources == ["'none'"] for sources in directives.values())


def test_refusals_at_the_gate_and_mistakes_of_ours_say_it_too(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    with database.begin() as session:
        session.execute(text("DROP TABLE attempt CASCADE"))
    answers = [
        client.get("/", headers={"Host": "evil.example"}),
        client.get("/", headers={"Origin": "null"}),
        client.post("/v1/experiments", content=b" " * 5_000_000),
        client.get(f"/v1/runs/{run_id}"),
    ]
    assert [answer.status_code for answer in answers] == [421, 403, 413, 500]
    for answer in answers:
        assert policy(answer)["default-src"] == ["'none'"]


def test_the_pages_have_nothing_that_their_policy_keeps_out(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}])
    train_all(database, experiment)
    for path in ("/", "/docs", f"/v1/experiments/{experiment['id']}/report"):
        response = client.get(path)
        directives = policy(response)
        assert directives["default-src"] == directives["frame-ancestors"] == ["'none'"]
        assert "script-src" not in directives
        assert not re.search(r"<script|\sstyle=|\son\w+=|javascript:", response.text)
        sheets = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode() for sheet in sheets]
        assert directives["style-src"] == [f"'sha256-{digest}'" for digest in digests]
        assert directives["img-src"] == ["data:"]
        assert set(re.findall(r'(?:src|href)="?(\w+:|/)', response.text)) <= {"data:", "/"}


def test_no_header_is_forgotten_here() -> None:
    assert {name.lower() for name in HEADERS} == STRICT.keys() | {"content-security-policy"}
