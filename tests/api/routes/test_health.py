"""Whether the service lives, whether it can work, and what it counts."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs

from api.app import create_app
from local.ports import free_port
from models.settings import Settings
from models.storage.database import Database
from tests.api.conftest import ADDRESS
from tests.api.made import problem, run_ids, submit, train


@pytest.fixture
def adrift() -> Iterator[TestClient]:
    """An API whose database is not there."""
    url = f"postgresql://clinic@127.0.0.1:{free_port('127.0.0.1')}/clinic"
    app = create_app(Settings(database_url=SecretStr(url)))
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


def test_a_clinic_with_its_database_is_alive_and_ready(reader: TestClient) -> None:
    assert reader.get("/healthz").json() == {"status": "alive"}
    assert reader.get("/readyz").json() == {"status": "ready"}


def test_without_its_database_it_lives_and_is_not_ready(adrift: TestClient) -> None:
    assert adrift.get("/healthz").status_code == 200
    problem(adrift.get("/readyz"), 503)
    refused = adrift.get("/v1/experiments")
    problem(refused, 503)
    assert refused.headers["retry-after"]
    assert "5432" not in refused.text
    assert "clinic_requests_total" in adrift.get("/metrics").text
    assert "clinic_runs{" not in adrift.get("/metrics").text


def test_a_database_of_another_version_is_not_ready(client: TestClient, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    assert "older" in problem(client.get("/readyz"), 503)["detail"]


def test_requests_are_counted_by_route_and_status_and_runs_by_state(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    train(database, run_ids(database, experiment)[0])
    client.get(experiment["links"]["self"])
    client.get("/v1/experiments/nothing")
    client.get("/nowhere/at/all")
    lines = client.get("/metrics").text.splitlines()
    route = 'route="/v1/experiments/{experiment_id}"'
    assert f'clinic_requests_total{{method="GET",{route},status="200"}} 1.0' in lines
    assert f'clinic_requests_total{{method="GET",{route},status="404"}} 1.0' in lines
    assert 'clinic_requests_total{method="GET",route="unmatched",status="404"} 1.0' in lines
    assert 'clinic_runs{state="succeeded"} 1.0' in lines
    assert 'clinic_runs{state="queued"} 1.0' in lines
    assert 'clinic_runs{state="failed"} 0.0' in lines
    assert f'clinic_request_seconds_count{{method="GET",{route}}} 2.0' in lines


def test_methods_that_clients_make_up_add_no_series(client: TestClient) -> None:
    def series() -> int:
        return len(client.get("/metrics").text.splitlines())

    paths = ["/healthz", "/v1/experiments", "/v1/runs/1", "/nowhere"]
    client.get("/metrics")
    for path in paths:
        client.request("MADEUP", path)
    before = series()
    for number in range(50):
        for path in paths:
            client.request(f"MADEUP{number}", f"{path}?{number}")
            client.request("GET", f"/v1/runs/{number}")
            client.request("get", f"/nowhere/{number}")
    allowed = 2 * (2 + 18)  # of two routes that only GET asks for: a count and a histogram each, with when they began
    assert series() - before <= allowed


def test_a_mistake_of_ours_is_a_500_that_tells_nothing_and_is_counted(client: TestClient, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("DROP TABLE attempt CASCADE"))
    run_id = run_ids(database, submit(client))[0]
    with capture_logs() as logged:
        response = client.get(f"/v1/runs/{run_id}")
    problem(response, 500)
    assert response.headers["connection"] == "close"
    assert "attempt" not in response.text
    assert [line["path"] for line in logged] == [f"/v1/runs/{run_id}"]
    assert "attempt" in str(logged[0]["exc_info"])
    route = 'route="/v1/runs/{run_id}"'
    assert f'clinic_requests_total{{method="GET",{route},status="500"}} 1.0' in client.get("/metrics").text
