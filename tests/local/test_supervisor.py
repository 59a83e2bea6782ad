"""The supervisor with real servers, a real migration and stand-ins for the clinic's own processes."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.commands import Command
from local.errors import CannotStartError, LocalError
from local.folder import Folder
from local.identity import started
from local.ports import free_port
from local.supervisor import Clinic, any_port, is_ready, own_port
from models.settings import Settings
from tests.local.conftest import Eventually

pytestmark = pytest.mark.long

API = Command("api", (str(Path(__file__).parent / "fakes" / "api.py"),), signal.SIGKILL, stop_timeout_s=5.0)
IDLE = ("-c", "import signal; signal.pause()")
STAND_INS = (
    API,
    Command("dispatcher", IDLE, signal.SIGKILL, stop_timeout_s=5.0),
    Command("worker", IDLE, signal.SIGTERM, stop_timeout_s=5.0),
)


@pytest.fixture
def settings(folder: Folder) -> Settings:
    return Settings(data_dir=folder.path, port=free_port())


@pytest.fixture
def clinic(folder: Folder, settings: Settings) -> Iterator[Clinic]:
    clinic = Clinic(settings, folder, port=settings.port, commands=STAND_INS)
    yield clinic
    clinic.kill()


def pids(folder: Folder) -> dict[str, int]:
    found = {record.name: re.search(r'"pid": (\d+)', record.read_text()) for record in (folder.path / "pids").iterdir()}
    return {name: int(match.group(1)) for name, match in found.items() if match}


def test_a_started_clinic_is_ready_and_ends_without_a_trace(clinic: Clinic, folder: Folder) -> None:
    clinic.start()
    assert is_ready(clinic.address)
    running = pids(folder)
    assert set(running) == {"postgres", "redis", "api", "dispatcher", "worker"}
    clinic.stop()
    assert [name for name, pid in running.items() if started(pid) is not None] == []
    assert pids(folder) == {}


def test_whatever_is_killed_comes_back(clinic: Clinic, folder: Folder, eventually: Eventually) -> None:
    clinic.start()
    before = pids(folder)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_are_back() -> bool:
        clinic.tend()
        now = pids(folder)
        return set(now) == set(before) and all(now[name] != before[name] for name in before)

    assert eventually(all_are_back)
    assert eventually(lambda: is_ready(clinic.address))


def test_a_process_that_cannot_start_is_shown_with_its_log(folder: Folder, settings: Settings) -> None:
    broken = Command("worker", ("-c", "raise SystemExit('no such device')"), signal.SIGTERM, stop_timeout_s=5.0)
    silent = Command("api", IDLE, signal.SIGKILL, stop_timeout_s=5.0)
    clinic = Clinic(settings, folder, port=settings.port, commands=(silent, broken))
    with pytest.raises(CannotStartError, match=r"(?s)worker cannot start.*no such device"):
        clinic.start()
    clinic.kill()


def test_servers_that_the_user_names_are_used_and_none_are_started(
    folder: Folder, database_url: str, redis_url: str
) -> None:
    given = Settings.model_validate({"database_url": database_url, "redis_url": redis_url, "port": free_port()})
    clinic = Clinic(given, folder, port=given.port, commands=STAND_INS)
    clinic.start()
    assert set(pids(folder)) == {"api", "dispatcher", "worker"}
    clinic.stop()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_make_up_says_that_its_port_is_taken_and_make_run_takes_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Settings(port=other.getsockname()[1])
        with pytest.raises(LocalError, match=f"port {taken.port} of 127.0.0.1 is taken"):
            own_port(taken)
        assert any_port(taken) != taken.port
