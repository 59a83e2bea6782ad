"""The whole clinic on one machine: servers, migrations, API, dispatcher and workers, started, tended and ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from local.child import Child, Program, end_leftover
from local.commands import COMMANDS, MIGRATE, Command
from local.errors import CannotStartError, LocalError
from local.folder import Folder
from local.kept import Kept
from local.ports import free_port, is_free
from local.postgres import EmbeddedPostgres
from local.redis import EmbeddedRedis
from local.server import Server, start
from models.settings import Settings

ROOT = Path(__file__).parent.parent
READY_TIMEOUT_S = 90.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- addresses one listens on and cannot call


class Clinic:
    """``start`` returns when the API is ready; then ``tend`` it, and ``stop`` or ``kill`` it in any case."""

    def __init__(
        self, settings: Settings, folder: Folder, *, port: int, commands: Sequence[Command] = COMMANDS
    ) -> None:
        self._settings = settings
        self._commands = commands
        self._folder = folder
        self._port = port
        self._kept: list[Kept] = []
        self._servers = 0  # so many of them, at the front
        self.database_url = ""
        self.redis_url = ""

    @property
    def address(self) -> str:
        host = EVERYWHERE.get(self._settings.host, self._settings.host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def pid(self, name: str) -> int | None:
        """The process of that name, once it is started."""
        return next((kept.pid for kept in self._kept if kept.name == name), None)

    def start(self) -> None:
        for command in self._commands:
            # What a killed supervisor left would work on under this database, beside the new ones.
            end_leftover(self._folder.record(command.name), self._program(command, {}).stop_signal)
        # Before the servers start, which may take a minute: who knocks meanwhile is told where.
        self._folder.announce(self.address)
        self.database_url = self._database_url()
        self.redis_url = self._redis_url()
        environment = self._environment(self.database_url, self.redis_url)
        # Once and before any of them starts: the tables are there when the first one looks.
        self._migrate(environment)
        for command in self._commands:
            self._kept.append(Kept(Child(self._program(command, environment))))
        self._wait_for_api()

    def tend(self) -> None:
        for kept in self._kept:
            kept.tend()

    def stop(self) -> None:
        """First the clinic's own processes, side by side, then the servers that they need to the end."""
        for kept in reversed(self._kept[self._servers :]):
            kept.ask_to_stop()
        for kept in reversed(self._kept):
            kept.stop()

    def kill(self) -> None:
        for kept in self._kept:
            kept.kill()

    def _database_url(self) -> str:
        given = self._settings.database_url
        if given is not None:
            return given.get_secret_value()
        return self._serve(EmbeddedPostgres(self._folder, durable=self._folder.kept))

    def _redis_url(self) -> str:
        given = self._settings.redis_url
        return given.get_secret_value() if given is not None else self._serve(EmbeddedRedis(self._folder))

    def _serve(self, server: Server) -> str:
        self._kept.append(Kept(start(server)))
        self._servers += 1
        return server.url

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        return os.environ | {  # noqa: TID251 -- handed on, not read
            "CLINIC_DATABASE_URL": database_url,
            "CLINIC_REDIS_URL": redis_url,
            "CLINIC_DATA_DIR": str(self._folder.path),
            "CLINIC_HOST": self._settings.host,
            "CLINIC_PORT": str(self._port),
            "PYTHONUNBUFFERED": "1",
        }

    def _program(self, command: Command, environment: dict[str, str]) -> Program:
        return Program(
            name=command.name,
            argv=(sys.executable, *command.arguments),
            log=self._folder.log(command.name),
            record=self._folder.record(command.name),
            environment=environment,
            folder=ROOT,
            death_signal=command.death_signal,
            stop_timeout_s=command.stop_timeout_s,
        )

    def _migrate(self, environment: dict[str, str]) -> None:
        log = self._folder.log("migrate")
        with log.open("ab") as file:
            done = subprocess.run(
                [sys.executable, *MIGRATE], cwd=ROOT, env=environment, stdout=file, stderr=file, check=False
            )
        if done.returncode != 0:
            raise CannotStartError("the migration", f"it ended with code {done.returncode}", log)

    def _wait_for_api(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        with _client(self.address) as client:
            while time.monotonic() < deadline:
                self.tend()
                if _is_ready(client):
                    return
                time.sleep(0.05)
        raise CannotStartError("api", f"{self.address}/readyz does not say that it is ready", self._folder.log("api"))


def is_ready(address: str) -> bool:
    with _client(address) as client:
        return _is_ready(client)


def _client(address: str) -> httpx.Client:
    """To make one costs as much as a hundred requests: certificates are read."""
    return httpx.Client(base_url=address, timeout=5.0, trust_env=False)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def own_port(settings: Settings) -> int:
    """The port of the settings; a LocalError where another program has it."""
    if settings.port == 0:
        return free_port(settings.host)
    if not is_free(settings.host, settings.port):
        message = (
            f"port {settings.port} of {settings.host} is taken by another program: "
            "end it, or choose another port with CLINIC_PORT"
        )
        raise LocalError(message)
    return settings.port


def any_port(settings: Settings) -> int:
    """The port of the settings, or a free one."""
    wanted = settings.port
    return wanted if wanted != 0 and is_free(settings.host, wanted) else free_port(settings.host)


def keep_up(clinic: Clinic, pause: Callable[[float], object] = time.sleep) -> None:
    """Tends the clinic until an exception ends it."""
    while True:
        clinic.tend()
        pause(0.2)
