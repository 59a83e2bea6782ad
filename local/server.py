"""Starts an embedded server and waits until it answers; the same for every kind."""

import time
from typing import Protocol

from local.child import Child, Program
from local.errors import CannotStartError
from local.ports import free_port, is_free

HOST = "127.0.0.1"
PAUSES_S = (0.2, 0.8)


class Server(Protocol):
    port: int
    start_timeout_s: float

    @property
    def url(self) -> str:
        """Where clients find it, password included."""

    def program(self) -> Program:
        """What to run, on the present port."""

    def answers(self) -> bool:
        """Whether it is ours and ready."""


def start(server: Server) -> Child:
    """The running server. Tried again, since what stops it may pass: see the two comments below."""
    for pause_s in PAUSES_S:
        try:
            return _start_once(server)
        except CannotStartError:
            if not is_free(HOST, server.port):
                server.port = free_port(HOST)  # somebody else was faster
            time.sleep(pause_s)  # a killed server's children may live on for a moment
    return _start_once(server)


def _start_once(server: Server) -> Child:
    child = Child(server.program())
    try:
        _wait(server, child)
    except BaseException:
        # Ctrl-C too: a server that is half started has to be ended by whoever started it.
        child.stop()
        raise
    return child


def _wait(server: Server, child: Child) -> None:
    deadline = time.monotonic() + server.start_timeout_s
    while child.running and time.monotonic() < deadline:
        if server.answers():
            return
        time.sleep(0.02)
    reason = "it does not answer" if child.running else f"it ended with code {child.exit_code}"
    raise CannotStartError(child.program.name, reason, child.program.log)
