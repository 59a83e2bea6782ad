"""A whole clinic for these tests: its processes are the real ones, started as ``make up`` starts them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local.cluster import Cluster
from local.commands import COMMANDS
from local.folder import Folder
from local.ports import free_port
from local.supervisor import Clinic
from models.settings import Settings
from tests.conftest import with_copy
from tests.processes import Births

ROOT = Path(__file__).parent.parent.parent
LEASE_S = "6"
PROCESSES = ("postgres", "redis", *(command.name for command in COMMANDS))


@contextmanager
def started(cluster: Cluster, births: Births, **environment: str) -> Iterator[Clinic]:
    """Two workers and all else, which outlive single tests."""
    folder = with_copy(Folder.temporary(ROOT, ".clinic-test-"), cluster)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CLINIC_WORKERS": "2", **environment}.items():
            patch.setenv(name, value)
        clinic = Clinic(Settings(), folder, port=free_port("127.0.0.1"))
        births.spare(lambda: [clinic.pid(name) for name in PROCESSES])
        try:
            clinic.start()
            yield clinic
        finally:
            clinic.stop()
            folder.release()


@pytest.fixture(scope="session")
def clinic(cluster: Cluster, births: Births) -> Iterator[Clinic]:
    """With short leases, so that a lost worker's run is taken up while a test watches."""
    patience = {"CLINIC_LEASE_S": LEASE_S, "CLINIC_CANCEL_GRACE_S": "1"}
    with started(cluster, births, **patience, CLINIC_WEBHOOK_PRIVATE="true") as clinic:  # receivers are on this machine
        yield clinic


@pytest.fixture
def client(clinic: Clinic) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=clinic.address, timeout=90.0, trust_env=False) as client:
        yield client
