"""An embedded PostgreSQL: the real server as a foreground child on a free port of this machine, with a password."""

import signal

import psycopg

from local.child import Program, end_leftover
from local.cluster import ENVIRONMENT, USER, prepare
from local.folder import Folder
from local.ports import free_port
from local.privileges import server_account
from local.server import HOST

NAME = "postgres"
FORGETFUL = {
    # Tests and trials: a crash of the machine may lose all of it, a killed server nothing; and no shared memory is
    # left outside the data folder.
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
}


class EmbeddedPostgres:
    """``durable`` says whether a commit survives a power cut, as it does by default in PostgreSQL."""

    start_timeout_s = 90.0  # recovery after a crash replays the log first

    def __init__(self, folder: Folder, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable
        # First: a server that a killed supervisor left still holds the cluster's files.
        end_leftover(folder.record(NAME), signal.SIGINT)
        self._cluster = prepare(folder.path, server_account(), durable=durable)
        self.port = free_port(HOST)

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._cluster.password}@{HOST}:{self.port}/{USER}"

    def program(self) -> Program:
        settings = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""}
        settings |= {"max_connections": "200"} | ({} if self._durable else FORGETFUL)
        cluster = self._cluster
        return Program(
            name=NAME,
            argv=(
                str(cluster.programs / "postgres"),
                *("-D", str(cluster.data)),
                *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
            ),
            log=self._folder.log(NAME),
            record=self._folder.record(NAME),
            environment=ENVIRONMENT,
            folder=cluster.home,
            account=cluster.account,
            # "Fast": sessions are ended, all is written. Also when the supervisor is killed.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_timeout_s=30.0,
        )

    def answers(self) -> bool:
        # Every cluster has this database, and ours may have to be made yet.
        maintenance = self.url.removesuffix(USER) + "postgres"
        try:
            with psycopg.connect(maintenance, autocommit=True, connect_timeout=2) as connection:
                exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", [USER]).fetchone()
                if exists is None:
                    connection.execute(f"CREATE DATABASE {USER}")
        except psycopg.OperationalError:
            return False
        return True
