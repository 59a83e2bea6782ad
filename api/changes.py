"""Wakes those who wait for an experiment, or for any of some owners: one LISTEN per process, however many wait."""

import asyncio
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import structlog

from models.runs import CHANGED_CHANNEL
from models.storage.database import Database

log = structlog.get_logger()
KEYS = "keys"
"""In place of an experiment's id: a key has ended. Whoever waits under one looks whether it still opens."""
_LISTEN_S = 0.1
"""How late the thread notices that it shall end."""
_RETRY_S = 1.0
_CLOSE_S = 2.0
"""Longer than a look takes, shorter than a connect that hangs: the end of the process waits for it."""


@dataclass(eq=False, slots=True)
class Following:
    """What has changed of the owners whom somebody may see, since it was last taken. ``changed`` is set when there is
    something; the first thing is that nothing is known yet.
    """

    may_see: Callable[[str], bool]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: set[uuid.UUID] = field(default_factory=set)
    _missed: bool = True

    def take(self) -> tuple[set[uuid.UUID], bool]:
        """The experiments, also those that are gone since; and whether others may have changed as well."""
        self.changed.clear()
        taken = self._ids, self._missed
        self._ids, self._missed = set(), False
        return taken

    def miss(self) -> None:
        """Some changes were not heard, or could not be told."""
        self._missed = True
        self.changed.set()

    def hear(self, experiment_id: str, owner: str) -> None:
        if self.may_see(owner):
            self._ids.add(uuid.UUID(experiment_id))
            self.changed.set()


class Changes:
    """``with changes.watch(id) as changed`` gives an event that is set at every change from then on, ``with
    changes.follow(…) as following`` collects those of some owners.

    ``listening`` is set while the connection is there, ``released`` once nobody shall wait any longer. ``forget_keys``
    is called when a key has ended, in whatever process.
    """

    def __init__(self, database: Database, forget_keys: Callable[[], None]) -> None:
        self._database = database
        self._forget_keys = forget_keys
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._following: set[Following] = set()
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
        return len(self._following) + sum(len(events) for events in self._waiting.values())

    @contextmanager
    def watch(self, experiment_id: str) -> Iterator[asyncio.Event]:
        """Enter before reading: a change between the reading and the waiting is then not missed."""
        changed = asyncio.Event()
        self._waiting[experiment_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[experiment_id].discard(changed)
            # Or an entry would stay for every experiment that anybody has ever waited for.
            if not self._waiting[experiment_id]:
                del self._waiting[experiment_id]

    @contextmanager
    def follow(self, may_see: Callable[[str], bool]) -> Iterator[Following]:
        """``may_see``: whether the experiments of an owner concern who follows."""
        following = Following(may_see)
        self._following.add(following)
        try:
            yield following
        finally:
            self._following.discard(following)

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

    def _wake(self, payload: str) -> None:
        experiment_id, _, owner = payload.partition(" ")
        for event in self._waiting.get(experiment_id, ()):
            event.set()
        for following in self._following:
            following.hear(experiment_id, owner)

    def _wake_all(self) -> None:
        for following in self._following:
            following.miss()
        for events in self._waiting.values():
            for event in events:
                event.set()


async def first_of(changed: asyncio.Event, gone: asyncio.Task[None], timeout_s: float) -> None:
    """Returns at a change, when the client has gone, or after the time."""
    # ``gone`` stays as it is: who waits asks again with the same one until the deadline.
    change = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({change, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        change.cancel()
