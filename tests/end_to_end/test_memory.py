"""What the API holds does not grow with the requests that it has answered: a real process, clients of all kinds."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.rest import ROUND, loaded, store
from local.ports import free_port, is_free
from models.database import Database

ROOT = Path(__file__).parent.parent.parent
MARGIN_MB = 60.0
MOST_MB = 350.0


@pytest.fixture
def address(database_url: str, tmp_path: Path) -> Iterator[str]:
    port = free_port("127.0.0.1")
    settings = {"CLINIC_PORT": str(port), "CLINIC_DATABASE_URL": database_url, "CLINIC_DATA_DIR": str(tmp_path)}
    process = psutil.Popen([sys.executable, "-m", "api"], cwd=ROOT, env=settings)
    try:
        while process.poll() is None and is_free("127.0.0.1", port):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_api_holds_no_more_after_more_requests(address: str, database: Database) -> None:
    held = [megabytes for _, megabytes in loaded(address, store(database), 2 * ROUND)]
    assert held[2] - held[1] < MARGIN_MB
    assert held[2] < MOST_MB
