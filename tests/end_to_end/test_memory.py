"""What the API holds does not grow with the requests that it has answered: a real process, clients of all kinds."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_port, is_free
from models.storage.database import Database
from proofs.speed.rest import ROUND, loaded, store
from tests.eventually import eventually
from tests.processes import process

MARGIN_MB = 60.0
MOST_MB = 400.0
"""Some 320 were measured."""


@pytest.fixture
def address(database_url: str, tmp_path: Path) -> Iterator[str]:
    port = free_port("127.0.0.1")
    settings = {"CLINIC_PORT": str(port), "CLINIC_DATABASE_URL": database_url, "CLINIC_DATA_DIR": str(tmp_path)}
    with process(sys.executable, "-m", "api", environment=settings) as api:
        assert eventually(lambda: api.poll() is not None or not is_free("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_api_holds_no_more_after_more_requests(address: str, database: Database) -> None:
    held = [megabytes for _, megabytes in loaded(address, store(database), 2 * ROUND)]
    assert held[2] - held[1] < MARGIN_MB
    assert held[2] < MOST_MB
