"""Sends what waits for webhooks: threads of their own in a dispatcher's process, so that no receiver holds it up."""

import math
import random
import threading
import time

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from models.runs import webhooks
from models.runs.events import WEBHOOK_CHANNEL
from models.runs.webhooks import FIRST_PAUSE_S, PAUSE_GROWTH, Message
from models.storage.database import Database
from worker.posting import Post

log = structlog.get_logger()

HANDS = 4
"""So many messages are under way at once, each to another webhook; twice what one owner may have under way."""
FORGET_S = 3600.0
_LISTEN_S = 0.25
_RETRY_S = 0.5
_CLOSE_S = 2.0


def pause_s(tried: int) -> float:
    """After so many tries: four times as long as before, and up to a half less, so that receivers are not met by all of
    theirs in one moment when they come back.
    """
    return FIRST_PAUSE_S * PAUSE_GROWTH ** (tried - 1) * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret


class Postman:
    """``deliver`` sends all that is due now; between ``start`` and ``close`` it is done whenever woken, and every
    ``sweep_s``. Any number of them may work side by side.
    """

    def __init__(self, database: Database, post: Post, sweep_s: float) -> None:
        self._database = database
        self._post = post
        self._sweep_s = sweep_s
        self._closing = threading.Event()
        self._woken = [threading.Event() for _ in range(HANDS)]
        self._listener = threading.Thread(target=self._listen, name="postman", daemon=True)

    def start(self) -> None:
        # Daemons: a receiver that takes its time does not hold up the end of the process. What was being sent then is
        # sent again by another one.
        self._listener.start()
        for woken in self._woken:
            threading.Thread(target=self._work, args=(woken,), name="postman hand", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._wake()
        self._listener.join(_CLOSE_S)

    def deliver(self) -> int:
        """How many messages were sent, whatever came of it."""
        sent = 0
        while not self._closing.is_set():
            with self._database.begin() as session:
                message = webhooks.take(session)
            if message is None:
                break
            self._send(message)
            sent += 1
        return sent

    def _send(self, message: Message) -> None:
        # No transaction is open while a receiver takes its time.
        reply = self._post.send(message)
        with self._database.begin() as session:
            webhooks.settle(session, message, reply, pause_s(message.tried))

    def _work(self, woken: threading.Event) -> None:
        while not self._closing.is_set():
            # Before the look, so that what comes during it is not missed.
            woken.clear()
            try:
                self.deliver()
            except DBAPIError as error:
                log.warning("the postman cannot ask the database", error=str(error).splitlines()[0])
            except Exception:  # the edge of a thread: the message is sent again once it is held no longer
                log.exception("a message could not be sent")
            woken.wait(self._sweep_s)

    def _listen(self) -> None:
        away = False
        while not self._closing.is_set():
            try:
                with self._database.listening(WEBHOOK_CHANNEL) as connection:
                    away = False
                    self._wake_at_notices(connection)
            except (psycopg.Error, DBAPIError) as error:
                if not away:
                    log.warning("the postman lost a connection; trying again", error=str(error).splitlines()[0])
                away = True
                self._closing.wait(_RETRY_S)

    def _wake_at_notices(self, connection: psycopg.Connection) -> None:
        # What was missed while there was no connection.
        self._wake()
        forgot_at = -math.inf
        while not self._closing.is_set():
            if time.monotonic() - forgot_at >= FORGET_S:
                with self._database.begin() as session:
                    webhooks.forget_old(session)
                forgot_at = time.monotonic()
            for _ in connection.notifies(timeout=_LISTEN_S, stop_after=1):
                self._wake()

    def _wake(self) -> None:
        for woken in self._woken:
            woken.set()
