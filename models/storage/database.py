"""The way to PostgreSQL: one engine per process, one transaction per ``with database.begin()``.

Sync on purpose: the same queries serve the API's threads and the workers.
"""

import math
import select
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import orjson
import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_loads
from sqlalchemy import CursorResult, UpdateBase, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker

IDLE_LIMIT_MS = 60_000
SILENCE_S = 5.0
"""How long the other host may leave packets without a sign that they came, where nobody says otherwise."""

Parameter = str | int


def psycopg_url(url: str) -> str:
    """``postgresql://…`` as users write it, with the driver that this project uses."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        message = f"the clinic stores traces in PostgreSQL; {parsed.drivername!r} cannot be used"
        raise ValueError(message)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """Settings for both ends of a connection, so that a cut cable or a dead host is noticed within ``silence_s``. By
    the system's own settings it takes a client a quarter of an hour, and an idle server with its locks two hours.

    A server that lives and is slow may take all the time it needs: its kernel answers. On unix sockets, and where the
    system knows no such option, they do nothing.
    """

    silence_s: float

    def parameters(self, url: URL) -> dict[str, Parameter]:
        """libpq's parameters for a connection to ``url``. What the URL itself says comes first."""
        asked = {
            "connect_timeout": max(2, math.ceil(self.silence_s)),
            "keepalives_idle": self._probe_s,
            "keepalives_interval": self._probe_s,
            "tcp_user_timeout": self._silence_ms,
        }
        given = url.query.get("options", ())
        # The URL's own come last: of two settings of one name the server takes the later one.
        options = [self._of_the_server(), *([given] if isinstance(given, str) else given)]
        return {name: value for name, value in asked.items() if name not in url.query} | {"options": " ".join(options)}

    def parameters_before_a_pooler(self, url: URL) -> dict[str, Any]:
        """The same for a connection whose next transaction may have another server's: the settings of that end are the
        pooler's own, and nothing that was prepared is there.
        """
        own = {name: value for name, value in self.parameters(url).items() if name != "options"}
        return own | {"prepare_threshold": None}

    def _of_the_server(self) -> str:
        settings = {
            # A process frozen inside a transaction must not hold its row locks for ever.
            "idle_in_transaction_session_timeout": IDLE_LIMIT_MS,
            # Nor may one whose host has gone: a run is not taken up while its row is locked.
            "tcp_keepalives_idle": self._probe_s,
            "tcp_keepalives_interval": self._probe_s,
            "tcp_user_timeout": self._silence_ms,
        }
        return " ".join(f"-c {name}={value}" for name, value in settings.items())

    @property
    def _probe_s(self) -> int:
        return max(1, math.floor(self.silence_s / 3))

    @property
    def _silence_ms(self) -> int:
        return math.ceil(self.silence_s * 1000)


class _Impatient(psycopg.Connection[Any]):
    """Gives up a server whose kernel lives and that does not answer itself: one that was frozen, or is far too slow."""

    answer_s: float

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except _WaitTimeout as error:
            self.pgconn.finish()  # it is in the middle of an answer, and of no more use
            message = f"the server has not answered for {self.answer_s:g} s"
            raise psycopg.OperationalError(message) from error


def impatient(answer_s: float) -> type[_Impatient]:
    """Connections that wait so long for an answer."""
    return type("Impatient", (_Impatient,), {"answer_s": answer_s})


class Database:
    """An engine and its sessions. ``dispose()`` closes every connection.

    ``pooler_url``: of a pooler that gives each transaction a connection, as PgBouncer does. All goes through it but
    LISTEN, which is bound to a connection and goes to ``url``.

    ``silence_s``: a connection that carries nothing for so long is given up, with an OperationalError. ``answer_s``: so
    is one whose server lives but has not answered a statement for so long (None: it is waited for).
    """

    def __init__(  # noqa: PLR0913 -- where, how many, how long
        self,
        url: str,
        pooler_url: str | None = None,
        *,
        pool_size: int = 5,
        max_overflow: int = 10,
        silence_s: float = SILENCE_S,
        answer_s: float | None = None,
    ) -> None:
        self.url = psycopg_url(url)
        patience, kind = Patience(silence_s), psycopg.Connection if answer_s is None else impatient(answer_s)
        self._connect = connect = partial(_opened, _plain(self.url), patience.parameters(make_url(self.url)))
        if pooler_url is not None:
            pooler = psycopg_url(pooler_url)
            connect = partial(_opened, _plain(pooler), patience.parameters_before_a_pooler(make_url(pooler)))
        self.engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=max_overflow,
            # What a statement was given is users' own: an error that is logged quotes none of it.
            hide_parameters=True,
            creator=partial(connect, kind),
        )
        event.listen(self.engine, "checkout", _must_live)
        # Rows are read after the commit, when no session is left that could load them again.
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session for reading that sees one moment, however many statements it takes while a run goes on."""
        with self.begin() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def listening(self, *channels: str) -> Iterator[psycopg.Connection]:
        """A connection of its own, outside the pool, that hears NOTIFY on ``channels``."""
        with self._connect() as connection:
            # LISTEN begins with a commit, and the server ends a transaction that idles as long as this one would.
            connection.set_autocommit(True)
            for channel in channels:
                connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()


def _plain(url: str) -> str:
    """The dialect's name for the driver is SQLAlchemy's; libpq knows the plain scheme only."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _opened(
    url: str, parameters: dict[str, Any], kind: type[psycopg.Connection[Any]] = psycopg.Connection
) -> psycopg.Connection[Any]:
    connection = kind.connect(url, **parameters)
    # jsonb gives 1e30 back in 31 digits: a float, where Python's own reader makes an int that no answer can carry.
    set_json_loads(orjson.loads, connection)
    return connection


def _must_live(connection: psycopg.Connection[Any], *_: object) -> None:
    """A pooled connection may have died since its last use, and the others with it: then new ones are made.

    Not SQLAlchemy's ping, which is a round trip before each transaction: that a server has ended a connection, or the
    kernel has given its host up (``Patience``), is there to be read.
    """
    try:
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        while waiting.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError as error:
        raise InvalidatePoolError(str(error)) from error


def changed_rows(session: Session, change: UpdateBase) -> int:
    """Execute an UPDATE or a DELETE. How many rows met its conditions."""
    return cast("CursorResult[Any]", session.execute(change)).rowcount
