"""A whole clinic behind the real PgBouncer in transaction mode: each transaction may have another connection."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from local.child import Child, Program
from local.cluster import Cluster
from local.folder import Folder
from local.ports import free_port
from local.privileges import server_account
from local.supervisor import Clinic
from tests.conftest import scratch_database
from tests.end_to_end.conftest import started
from tests.eventually import eventually
from tests.processes import Births

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
CONNECTIONS = 3
"""That the pooler has to the server: less than the processes of the clinic have to it."""
LISTENERS = 5
"""The API, two slots, and the dispatcher for runs and for webhooks."""

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PGBOUNCER is None, reason="Debian's package pgbouncer is not installed"),
]
SPEC: dict[str, Any] = {
    "name": "pooled",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 6, "width": 16, "activation": "sigmoid"},
    "optimizer": {"kind": "sgd"},
    "remedies": [{"kind": "batch_norm"}],
    "steps": 60,
    "seeds": [0, 1],
}


@contextmanager
def pooler_before(server: URL, folder: Folder) -> Iterator[str]:
    """Its URL. It does not run as root, so it has a folder of its own account's."""
    account, port, home = server_account(), free_port("127.0.0.1"), Path(tempfile.mkdtemp())
    users, config = home / "users.txt", home / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password}"\n')
    config.write_text(
        f"[databases]\n{server.database} = host={server.host} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {users}\n"
        f"pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\n"
    )
    if account is not None:
        for path in (home, users, config):
            os.chown(path, account.uid, account.gid)
    assert PGBOUNCER is not None  # else these tests are skipped
    program = Program(
        name="pgbouncer",
        argv=(PGBOUNCER, str(config)),
        log=folder.log("pgbouncer"),
        record=folder.record("pgbouncer"),
        environment={},
        folder=home,
        account=account,
    )
    pooler = Child(program)
    try:
        yield server.set(port=port).render_as_string(hide_password=False)
    finally:
        pooler.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def database(postgres_server: str, template_database: str) -> Iterator[str]:
    with scratch_database(postgres_server, template_database) as url:
        yield url


@pytest.fixture(scope="module")
def pooled(cluster: Cluster, births: Births, database: str, session_folder: Folder) -> Iterator[Clinic]:
    with (
        pooler_before(make_url(database), session_folder) as pooler,
        started(cluster, births, CLINIC_DATABASE_URL=database, CLINIC_POOLER_URL=pooler) as clinic,
    ):
        yield clinic


@pytest.fixture
def client(pooled: Clinic) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pooled.address, timeout=90.0, trust_env=False) as client:
        yield client


def statements(database: str) -> list[str]:
    """The last one of each connection to the server."""
    with psycopg.connect(database, autocommit=True) as looking:
        asked = (
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return [row[0] for row in looking.execute(asked)]


def test_runs_are_trained_judged_and_read_over_few_connections(client: httpx.Client, database: str) -> None:
    links = client.post("/v1/experiments", json=SPEC).raise_for_status().json()["links"]
    assert eventually(lambda: client.get(links["done"]).status_code == httpx.codes.OK)
    assert client.get(links["self"]).json()["state"] == "succeeded"
    assert {its["name"] for its in client.get(links["comparison"]).json()["variants"]} == {"baseline", "batch_norm"}
    # Far more than a statement's five uses, after which psycopg would prepare it.
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: client.get(links["runs"]).status_code, range(100))
        assert set(answers) == {httpx.codes.OK}
    held = statements(database)
    listening = [one for one in held if one.startswith("LISTEN")]
    assert len(listening) == LISTENERS
    assert len(held) - len(listening) <= CONNECTIONS


def test_a_cancel_is_heard_at_once(client: httpx.Client, database: str) -> None:
    """By LISTEN on the server itself, and by no beat: those are a third of the lease apart."""
    endless = {**SPEC, "name": "endless", "steps": 5_000_000, "seeds": [0], "remedies": []}
    links = client.post("/v1/experiments", json=endless).json()["links"]
    assert eventually(lambda: client.get(links["self"]).json()["state"] == "running")
    assert any("clinic_cancel" in one for one in statements(database))
    client.post(links["cancel"]).raise_for_status()
    assert eventually(lambda: client.get(links["self"]).json()["state"] == "cancelled")
