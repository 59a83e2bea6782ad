"""A whole clinic for these tests: its processes are the real ones, started as ``make up`` starts them."""

import os
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
from tests import plugged
from tests.conftest import with_copy
from tests.processes import Births

ROOT = Path(__file__).parent.parent.parent
LEASE_S = "6"
PROCESSES = ("postgres", "redis", *(command.name for command in COMMANDS))


@pytest.fixture(scope="session")
def plugins_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``PYTHONPATH`` is where the example of a plug-in is installed, and small ones that misbehave."""
    installed = plugged.installed(tmp_path_factory.mktemp("example"))
    return f"{installed}{os.pathsep}{plugged.strange(tmp_path_factory.mktemp('strange'))}"


@pytest.fixture(scope="session")
def clinic(cluster: Cluster, births: Births, plugins_path: str) -> Iterator[Clinic]:
    """Two workers and all else, for all tests: a start takes longer than most of them. Leases are short, so that a lost
    worker's run is taken up while a test watches, and of the plug-ins the example is allowed.
    """
    environment = {
        "CLINIC_LEASE_S": LEASE_S,
        "CLINIC_CANCEL_GRACE_S": "1",
        "CLINIC_WEBHOOK_PRIVATE": "true",  # receivers are on this machine
        "CLINIC_PLUGINS": "clinic-example",
        "PYTHONPATH": plugins_path,
    }
    with started(cluster, births, **environment) as clinic:
        yield clinic


@contextmanager
def started(cluster: Cluster, births: Births, **environment: str) -> Iterator[Clinic]:
    """Two workers and all else, with these variables, which no other test has."""
    folder = with_copy(Folder.temporary(ROOT, ".clinic-test-"), cluster)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CLINIC_WORKERS": "2", **environment}.items():
            patch.setenv(name, value)
        clinic = Clinic(Settings(), folder, port=free_port("127.0.0.1"))
        births.spare(lambda: [clinic.pid(name) for name in PROCESSES])  # which outlive single tests
        try:
            clinic.start()
            patch.undo()
            yield clinic
        finally:
            clinic.stop()
            folder.release()


@pytest.fixture
def client(clinic: Clinic) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=clinic.address, timeout=90.0, trust_env=False) as client:
        yield client
