"""Wakes those who wait for an experiment: one LISTEN per process, however many wait."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

from models.runs import CHANGED_CHANNEL
from models.storage.database import Database

log = structlog.get_logger()
KEYS = "keys"
"""In place of an experiment's id: a key has ended. Whoever waits under one looks whether it still opens."""
_LISTEN_S = 0.1
_RETRY_S = 1.0
_CLOSE_S = 2.0


class Changes:
    """``with changes.watch(id) as changed`` gives an event that is set at every change from then on.

    ``listening`` is set while the connection is there, ``released`` once nobody shall wait any longer. ``forget_keys``
    is called when a key has ended, in whatever process.
    """

    def __init__(self, database: Database, forget_keys: Callable[[], None]) -> None:
        self._database = database
        self._forget_keys = forget_keys
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.released = False
        self.listening = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._listen, args=(loop,), name="changes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Blocks for as long as the thread needs to notice; one that hangs in a connect is left to the process."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def release(self) -> None:
        """Nobody shall wait any longer: the server is about to end."""
        self.released = True
        self._wake_all()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(len(events) for events in self._waiting.values())

    @contextmanager
    def watch(self, experiment_id: str) -> Iterator[asyncio.Event]:
        """Enter before reading: a change between the reading and the waiting is then not missed."""
        changed = asyncio.Event()
        self._waiting[experiment_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[experiment_id].discard(changed)
            if not self._waiting[experiment_id]:
                del self._waiting[experiment_id]

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        away = False
        while not self._closing.is_set():
            try:
                with self._database.listening(CHANGED_CHANNEL) as connection:
                    away = False
                    self.listening.set()
                    # Whatever was missed while there was no connection: let everybody look.
                    loop.call_soon_threadsafe(self._wake_all)
                    while not self._closing.is_set():
                        for notice in connection.notifies(timeout=_LISTEN_S):
                            self._heard(loop, notice.payload)
            except psycopg.Error as error:
                self.listening.clear()
                if not away:
                    log.warning("lost the connection that hears of changes; trying again", error=str(error))
                away = True
                self._closing.wait(_RETRY_S)

    def _heard(self, loop: asyncio.AbstractEventLoop, payload: str) -> None:
        if payload == KEYS:
            # In this thread: what is being read holds it up for a moment.
            self._forget_keys()
            loop.call_soon_threadsafe(self._wake_all)
        else:
            loop.call_soon_threadsafe(self._wake, payload)

    def _wake(self, experiment_id: str) -> None:
        for event in self._waiting.get(experiment_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()


async def first_of(changed: asyncio.Event, gone: asyncio.Task[None], timeout_s: float) -> None:
    """Returns at a change, when the client has gone, or after the time."""
    change = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({change, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        change.cancel()
