"""An embedded Redis (or Valkey) that keeps nothing on disk: the queue can be rebuilt from PostgreSQL at any time."""

import signal
import socket

from local.binaries import redis_server
from local.child import Program, end_leftover
from local.folder import Folder, new_password
from local.ports import free_port
from local.server import HOST

NAME = "redis"


class EmbeddedRedis:
    """The password is typed into the server, so that neither a file nor the process list shows it."""

    start_timeout_s = 20.0

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._server = redis_server()
        self._password = new_password()
        self.port = free_port(HOST)
        end_leftover(folder.record(NAME), signal.SIGTERM)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def program(self) -> Program:
        settings = {
            "bind": HOST,
            "port": self.port,
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",  # an evicted message would be a lost one
            "daemonize": "no",
            "dir": f'"{self._folder.path}"',
        }
        return Program(
            name=NAME,
            argv=(str(self._server), "-"),
            typed="".join(f"{key} {value}\n" for key, value in settings.items()).encode(),
            log=self._folder.log(NAME),
            record=self._folder.record(NAME),
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            folder=self._folder.path,
        )

    def answers(self) -> bool:
        """Whether our server, and not another one on this port, takes our password."""
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False
