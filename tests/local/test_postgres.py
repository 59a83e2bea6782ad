"""The embedded PostgreSQL: closed to others, powerless, and able to start after any end."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from local.child import Child
from local.cluster import prepare
from local.errors import CannotStartError, LocalError
from local.folder import Folder
from local.identity import program, started
from local.postgres import EmbeddedPostgres
from local.privileges import server_account
from local.server import start
from tests.processes import PIPE, process

pytestmark = pytest.mark.long  # each starts a server

SUPERVISOR = "tests.local.fakes.supervisor"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another user")
Eventually = Callable[[Callable[[], bool]], bool]


@contextmanager
def running(folder: Folder) -> Iterator[tuple[EmbeddedPostgres, Child]]:
    postgres = EmbeddedPostgres(folder, durable=False)
    child = start(postgres)
    try:
        yield postgres, child
    finally:
        child.stop()


def test_nobody_gets_in_without_the_password(folder: Folder) -> None:
    with running(folder) as (postgres, _):
        wrong = make_url(postgres.url).set(password="wrong").render_as_string(hide_password=False)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


@as_root
def test_root_hands_the_server_to_an_unprivileged_user(folder: Folder) -> None:
    with running(folder) as (_, child):
        assert Path(f"/proc/{child.pid}").stat().st_uid != 0


@as_root
def test_a_folder_closed_to_others_is_no_hindrance_and_leaves_nothing_outside(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = Folder.temporary(tmp_path, "closed-")
    with running(folder) as (postgres, _), psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    place = Path((folder.path / "outside").read_text().splitlines()[0])
    assert place.exists()
    folder.release()
    assert not place.exists()


def test_what_was_committed_survives_a_kill_of_the_server(folder: Folder, eventually: Eventually) -> None:
    with running(folder) as (postgres, child):
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(child.pid, signal.SIGKILL)
        assert eventually(lambda: not child.running)
        again = start(postgres)
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        again.stop()


def test_a_server_left_over_from_a_killed_supervisor_is_ended(folder: Folder) -> None:
    with running(folder) as (_, left), running(folder) as (postgres, _):
        assert started(left.pid) is None
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_a_server_dies_with_its_supervisor(folder: Folder, eventually: Eventually, server: str) -> None:
    command = (sys.executable, "-m", SUPERVISOR, folder.path / "inside", server)
    with process(*command, stdout=PIPE) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert started(pid) is not None
        supervisor.kill()
        assert eventually(lambda: started(pid) is None)
    Folder.claim(folder.path / "inside").release()


def test_a_pid_file_whose_number_is_now_somebody_elses_is_no_hindrance(folder: Folder) -> None:
    cluster = prepare(folder.path, server_account(), durable=False)
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")
    with running(folder) as (postgres, _):
        assert postgres.answers()


def test_a_server_that_is_not_ours_is_left_alone(folder: Folder) -> None:
    with running(folder) as (_, child):
        folder.record("postgres").unlink()  # as if somebody had started it by hand
        with pytest.raises(LocalError, match=f"process {child.pid}"):
            EmbeddedPostgres(folder, durable=False)
        assert program(child.pid) == "postgres"


def test_a_cluster_of_another_version_is_refused_in_a_sentence(folder: Folder) -> None:
    cluster = prepare(folder.path, server_account(), durable=False)
    (cluster.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(LocalError, match="was made by PostgreSQL 15, and 18 is installed"):
        prepare(folder.path, server_account(), durable=False)


def test_a_server_that_cannot_start_shows_what_it_logged(folder: Folder) -> None:
    postgres = EmbeddedPostgres(folder, durable=False)
    data = prepare(folder.path, server_account(), durable=False).data
    (data / "postgresql.conf").write_text("no_such_setting = on\n")
    with pytest.raises(CannotStartError, match="no_such_setting"):
        start(postgres)
