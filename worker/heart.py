"""A thread that keeps a run's lease alive and hears when the run must stop.

It has a connection of its own, so a long training step or a slow write of traces never lets the lease lapse.
One per worker process; it watches the runs that are trained there, one or several together.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from models import runs
from models.runs import Lease
from models.storage.database import Database

log = structlog.get_logger()

StopReason = Literal["cancelled", "lost"]
_LISTEN_S = 0.25
_REMEMBERED = 1_000


class Watch:
    """What the training loop asks between steps, and what the heart tells it."""

    def __init__(self, lease: Lease, lease_s: float) -> None:
        """Watch a lease that was claimed just now."""
        self.lease = lease
        self.step: int | None = None
        """So many steps are done; None before training begins."""
        self._lease_s = lease_s
        self._stop: StopReason | None = None
        self._beaten_at = time.monotonic()
        self._news = threading.Condition()

    @property
    def stop(self) -> StopReason | None:
        """Why the run must end; None while it may go on.

        The heart may hang: in a dead connection, in a slow server, in a process that was frozen. So whoever asks looks
        at the clock too, and once the lease has lapsed waits for the next beat, about as long as beats are apart.
        """
        if self._stop is None and self._lapsed():
            with self._news:
                if not self._news.wait_for(lambda: self.ended or not self._lapsed(), self._lease_s / 3 + _LISTEN_S):
                    self._stop = "lost"
        return self._stop

    @property
    def ended(self) -> bool:
        """As ``stop``, without waiting: for the heart."""
        return self._stop is not None

    @property
    def due(self) -> bool:
        """Whether the lease is to be lengthened now."""
        # Each third, so that a beat may fail and the next one still comes in time.
        return not self.ended and time.monotonic() - self._beaten_at >= self._lease_s / 3

    def beaten(self, asked_at: float) -> None:
        """The database has lengthened the lease at ``asked_at`` or later."""
        with self._news:
            self._beaten_at = asked_at
            self._news.notify_all()

    def end(self, reason: StopReason) -> None:
        """The first reason stands."""
        with self._news:
            self._stop = self._stop or reason
            self._news.notify_all()

    def _lapsed(self) -> bool:
        return time.monotonic() - self._beaten_at > self._lease_s


class Heart:
    """``with heart.watch(lease) as watch`` beats every third of the lease until the block ends."""

    def __init__(self, database: Database, lease_s: float, beside: Callable[[], None] = lambda: None) -> None:
        """``beside``: is called between two looks, whether a run is watched or not."""
        self._database = database
        self._lease_s = lease_s
        self._beside = beside
        self._watches: tuple[Watch, ...] = ()
        """Replaced and never changed: the heart's thread goes through it."""
        self._cancelled: deque[str] = deque(maxlen=_REMEMBERED)
        self._away = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)
        self._thread.start()

    @contextmanager
    def watch(self, lease: Lease) -> Iterator[Watch]:
        """Watch a lease that was claimed just now."""
        watch = Watch(lease, self._lease_s)
        self._watches = (*self._watches, watch)
        # A cancel may have been heard between the claim and this line.
        self._hear_cancels()
        try:
            yield watch
        finally:
            self._watches = tuple(its for its in self._watches if its is not watch)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (psycopg.Error, DBAPIError) as error:
                if not self._away:
                    log.warning("the heart lost its database connection; trying again", error=str(error))
                self._away = True
                self._closing.wait(_LISTEN_S)

    def _listen(self) -> None:
        with self._database.listening(runs.CANCEL_CHANNEL) as connection:
            # A beat asks whether the run was cancelled; as it comes after LISTEN, no cancel falls between the two.
            for watch in self._watches:
                self._beat(watch)
            self._away = False
            while not self._closing.is_set():
                for notice in connection.notifies(timeout=_LISTEN_S):
                    self._cancelled.append(notice.payload)
                    self._hear_cancels()
                # Again at once after a slow one: what it has lengthened may be over already.
                while (due := [its for its in self._watches if its.due]) and not self._closing.is_set():
                    for watch in due:
                        self._beat(watch)
                self._beside()

    def _beat(self, watch: Watch) -> None:
        if watch.ended:
            return
        # Taken before the statement: our clock then never holds the lease to be longer than the database does.
        asked_at = time.monotonic()
        with self._database.begin() as session:
            ours = runs.beat(session, watch.lease, self._lease_s, watch.step or 0)
            cancelled = runs.cancel_requested(session, watch.lease)
        # Told after the commit: until then the lease may still be as it was.
        if not ours:
            watch.end("lost")
        elif cancelled:
            watch.end("cancelled")
        else:
            watch.beaten(asked_at)

    def _hear_cancels(self) -> None:
        for watch in self._watches:
            if str(watch.lease.experiment_id) in self._cancelled:
                watch.end("cancelled")
