"""Keys, origins and sizes: what is refused before anything of a request is parsed."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from models import runs
from models.plan import expand
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from tests.api.conftest import ADDRESS
from tests.api.flood import CHUNK, pour
from tests.api.keyed import KEY
from tests.api.made import problem, spec, submit

LIMIT = 100_000


@pytest.fixture
def guarded(keyed: TestClient) -> TestClient:
    """A clinic with a key, and a client without one."""
    return keyed


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), max_body_bytes=LIMIT)


def test_the_key_opens_and_makes_the_caller_admin(guarded: TestClient) -> None:
    ways: list[dict[str, str]] = [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY}"},
        {"X-API-Key": KEY},
        {"X-API-Key": KEY, "Authorization": "Basic abc"},
    ]
    for headers in ways:
        response = guarded.post("/v1/experiments", json=spec(), headers=headers)
        assert response.status_code == 202, headers
        assert response.json()["owner"] == "admin"


def test_without_the_key_everything_else_is_closed(guarded: TestClient) -> None:
    failures: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sesam"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"X-API-Key": ""},
        {"X-API-Key": "ß"},
        {"Authorization": "Bearer wrong", "X-API-Key": KEY},
    ]
    for headers in failures:
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        for path in ("/v1/experiments", "/v1/catalogue/remedies", "/v1/runs/x", "/v1/nothing", "/v1", "/nothing"):
            response = guarded.get(path, headers=encoded)
            problem(response, 401)
            assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_body_is_not_looked_at_before_the_key(guarded: TestClient) -> None:
    for content in (b"{", b"x" * 10_000_000, json.dumps(spec()).encode()):
        problem(guarded.post("/v1/experiments", content=content), 401)


def test_what_tells_nothing_of_experiments_is_open(guarded: TestClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/openapi-3.0.json", "/openapi-3.2.json", "/healthz", "/readyz"):
        assert guarded.get(path).status_code == 200, path


def test_counts_are_for_who_has_the_key(guarded: TestClient) -> None:
    problem(guarded.get("/metrics"), 401)
    assert "clinic_requests_total" in guarded.get("/metrics", headers={"X-API-Key": KEY}).text


def test_the_admin_sees_every_owner_and_may_ask_for_one(guarded: TestClient, database: Database) -> None:
    asked = ExperimentSpec.model_validate(spec())
    with database.begin() as session:
        theirs = str(runs.submit(session, asked, expand(asked), "local"))
    headers = {"X-API-Key": KEY}
    mine = guarded.post("/v1/experiments", json=spec(), headers=headers).json()["id"]

    def found(**params: str) -> list[str]:
        answer = guarded.get("/v1/experiments", params=params, headers=headers).json()
        return [item["id"] for item in answer["items"]]

    assert found() == [mine, theirs]
    assert found(owner="local") == [theirs]
    assert found(owner="admin") == [mine]
    assert guarded.get(f"/v1/experiments/{theirs}", headers=headers).json()["owner"] == "local"


def test_a_key_in_a_file_works_as_well(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    app = create_app(Settings(database_url=SecretStr(database_url), api_key_file=file))
    with TestClient(app, base_url=ADDRESS) as client:
        problem(client.get("/v1/experiments"), 401)
        assert client.get("/v1/experiments", headers={"X-API-Key": KEY}).status_code == 200


FOREIGN = [
    *("https://evil.example", "http://127.0.0.1.evil.example", "null", "http://[::1", "http://10.0.0.7:8000", ""),
    *("http://127.0.0.1:8001", "http://localhost", "http://[::1]", "http://127.0.0.2", "file://127.0.0.1"),
]
OURS = ["http://127.0.0.1", "https://127.0.0.1"]
CHANGES = ["/v1/experiments", "/v1/experiments/validate", "/v1/predictions"]


def test_without_a_key_a_page_of_another_site_or_port_does_nothing(client: TestClient) -> None:
    links = submit(client)["links"]
    for origin in FOREIGN:
        headers = {"Origin": origin}
        for path in (*CHANGES, links["cancel"]):
            problem(client.post(path, json=spec(), headers=headers), 403)
        problem(client.delete(links["self"], headers=headers), 403)
        problem(client.get(links["self"], headers=headers), 403)
    assert [item["state"] for item in client.get("/v1/experiments").json()["items"]] == ["queued"]


def test_a_page_of_our_own_and_a_client_without_a_page_may(client: TestClient) -> None:
    for origin in OURS:
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        assert client.post("/v1/experiments", json=spec(), headers=headers).status_code == 202
    assert client.post("/v1/experiments", json=spec()).status_code == 202


@pytest.mark.parametrize("site", ["cross-site", "same-site", "new-site"])
def test_what_a_browser_sends_for_a_page_of_elsewhere_is_refused_unless_it_is_a_link_to_us(
    reader: TestClient, site: str
) -> None:
    sent = {"Sec-Fetch-Site": site}
    link = sent | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path in ("/docs", "/v1/experiments", "/metrics", "/healthz"):
        assert reader.get(path, headers=link).status_code == 200
        for dest in ("iframe", "embed", "object"):
            problem(reader.get(path, headers=link | {"Sec-Fetch-Dest": dest}), 403)
        for mode, dest in (("cors", "empty"), ("no-cors", "script"), ("no-cors", "image")):
            problem(reader.get(path, headers=sent | {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}), 403)
    for path in CHANGES:  # a form, which needs no script and no Origin in old browsers
        problem(reader.post(path, json=spec(), headers=link), 403)
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert reader.get("/v1/experiments", headers=typed).status_code == 200


HERE = ["localhost", "LocalHost:8000", "clinic.localhost:1", "127.0.0.1", "127.3.2.1:65535", "[::1]", "[::1]:8000"]
ELSEWHERE = [
    *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "evillocalhost", ""),
    *("0.0.0.0:8000", "10.0.0.7", "169.254.0.1", "127.1", "2130706433", "[::2]", "[::]", "::1", "[::1", "[127.0.0.1"),
    *("evil.example@localhost", "localhost:80:80", "localhost:", "localhost,evil.example", "localhost/", "localhost#"),
]


def test_without_a_key_only_names_of_loopback_are_answered(reader: TestClient) -> None:
    for host in HERE:
        assert reader.get("/v1/experiments", headers={"Host": host}).status_code == 200, host
    for host in ELSEWHERE:
        for path in (
            "/v1/experiments",
            "/",
            "/docs",
            "/openapi.json",
            "/openapi-3.0.json",
            "/openapi-3.2.json",
            "/healthz",
            "/readyz",
            "/metrics",
            "/nothing",
        ):
            problem(reader.get(path, headers={"Host": host}), 421)
        problem(reader.post("/v1/predictions", json={}, headers={"Host": host, "Origin": f"http://{host}"}), 421)


def test_names_that_are_set_are_answered_as_well(database_url: str) -> None:
    app = create_app(Settings(database_url=SecretStr(database_url), allowed_hosts=("Clinic.example",)))
    with TestClient(app, base_url=ADDRESS) as client:
        for host in ("clinic.example", "CLINIC.example:443", "localhost"):
            assert client.get("/v1/experiments", headers={"Host": host}).status_code == 200
        problem(client.get("/healthz", headers={"Host": "other.example"}), 421)
        ours = {"Host": "clinic.example", "Origin": "https://clinic.example"}
        assert client.post("/v1/experiments", json=spec(), headers=ours).status_code == 202


def test_with_a_key_neither_origin_nor_name_counts_unless_names_are_set(guarded: TestClient, database_url: str) -> None:
    headers = {"Origin": FOREIGN[0], "Sec-Fetch-Site": "cross-site", "Host": "any.example", "X-API-Key": KEY}
    assert guarded.post("/v1/experiments", json=spec(), headers=headers).status_code == 202
    named = Settings(database_url=SecretStr(database_url), api_key=SecretStr(KEY), allowed_hosts=("clinic.example",))
    with TestClient(create_app(named), base_url=ADDRESS) as client:
        problem(client.get("/v1/experiments", headers=headers), 421)
        assert client.get("/v1/experiments", headers=headers | {"Host": "clinic.example"}).status_code == 200
        assert client.get("/readyz").status_code == 200  # as a container looks at its own health


def padded(size: int) -> bytes:
    """A valid spec of so many bytes."""
    body = json.dumps(spec()).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


def test_a_body_up_to_the_limit_is_taken_and_one_byte_more_is_not(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/experiments", content=padded(LIMIT), headers=headers).status_code == 202
    refused = client.post("/v1/experiments", content=padded(LIMIT + 1), headers=headers)
    assert "100,000" in problem(refused, 413)["detail"]
    chunks = (padded(LIMIT + 1)[start : start + 999] for start in range(0, LIMIT + 1, 999))
    problem(client.post("/v1/experiments", content=chunks, headers=headers), 413)


def test_a_body_without_an_end_is_read_no_further_than_the_limit(address: str) -> None:
    host, port = urlsplit(address).hostname, urlsplit(address).port
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(
            f"POST /v1/experiments HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent = pour(connection)
    assert sent < 200 * len(CHUNK)


def test_a_client_that_sends_too_much_gets_its_answer(address: str) -> None:
    body = b" " * 20_000_000
    chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    with httpx2.Client(base_url=address, trust_env=False) as client:
        for content in (body, chunks):
            response = client.post("/v1/experiments", content=content, headers={"Content-Type": "application/json"})
            problem(response, 413)
            assert client.get("/healthz").status_code == 200


def test_a_length_that_is_none_is_refused_by_somebody(address: str) -> None:
    host, port = urlsplit(address).hostname, urlsplit(address).port
    for length in ("-1", "x", "1" * 30, "²", "+5"):
        with socket.create_connection((host, port), timeout=20) as connection:
            head = f"POST /v1/experiments HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode("latin-1"))
            assert connection.recv(100).split()[1] in {b"400", b"413"}, length


def test_refusals_are_counted(app: FastAPI) -> None:
    with TestClient(app, base_url=ADDRESS) as client:
        client.post("/v1/experiments", content=b" " * (LIMIT + 1))
        assert 'clinic_requests_total{method="POST",route="unmatched",status="413"} 1.0' in client.get("/metrics").text
