"""What connections are told about silence, asked of a real server, and what a URL may say instead."""

from collections.abc import Iterator

import orjson
import psycopg
import pytest
from sqlalchemy import cast, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError

from models.storage.database import Database

SETTINGS = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
def patient(database_url: str) -> Iterator[Database]:
    database = Database(database_url, silence_s=9.0)
    yield database
    database.dispose()


def test_both_ends_give_up_a_host_that_says_nothing(patient: Database) -> None:
    with patient.begin() as session:
        server = [session.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS]
        connection = session.connection().connection.driver_connection
        assert connection is not None
        client = connection.info.get_parameters()
    assert server == ["3", "3", "9000", "1min"]
    asked = ("connect_timeout", "keepalives_idle", "keepalives_interval", "tcp_user_timeout")
    assert [client[name] for name in asked] == ["9", "3", "3", "9000"]


def test_so_does_a_connection_that_listens(patient: Database) -> None:
    with patient.listening("anything") as connection:
        assert connection.info.get_parameters()["tcp_user_timeout"] == "9000"
        assert connection.execute("SHOW tcp_user_timeout").fetchone() == ("9000",)


def test_what_the_url_says_comes_first(database_url: str) -> None:
    theirs = Database(f"{database_url}?connect_timeout=40&options=-c%20tcp_user_timeout%3D1234%20-c%20work_mem%3D8MB")
    with theirs.listening("anything") as listening, theirs.begin() as session:
        pooled = session.connection().connection.driver_connection
        assert pooled is not None
        for connection in (listening, pooled):
            assert connection.info.get_parameters()["connect_timeout"] == "40"
            cursor = connection.cursor()
            assert cursor.execute("SHOW tcp_user_timeout").fetchone() == ("1234",)
            assert cursor.execute("SHOW work_mem").fetchone() == ("8MB",)
            assert cursor.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)
    theirs.dispose()


def test_a_server_that_lives_and_does_not_answer_is_given_up_where_that_is_asked_for(database_url: str) -> None:
    impatient = Database(database_url, pool_size=1, max_overflow=0, answer_s=0.2)
    for _ in range(2):  # the pool has room for one connection: it was given back
        with pytest.raises(OperationalError, match=r"not answered for 0\.2 s"), impatient.begin() as session:
            session.execute(text("SELECT pg_sleep(60)"))
        with impatient.begin() as session:
            assert session.execute(text("SELECT 1")).scalar_one() == 1
    impatient.dispose()


@pytest.mark.parametrize("number", [1e30, -2.5e300, 2.0**63, 1e-300, 3])
def test_a_number_in_json_returns_as_one_that_an_answer_can_carry(database: Database, number: float) -> None:
    """PostgreSQL writes 1e30 as an integer of 31 digits."""
    with database.begin() as session:
        back = session.execute(select(cast([number], JSONB))).scalar_one()
    assert float(back[0]) == number
    assert float(orjson.loads(orjson.dumps(back))[0]) == number


def _backend(database: Database) -> int:
    with database.begin() as session:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_connection_that_has_ended_between_two_transactions_is_replaced(
    database: Database, database_url: str
) -> None:
    other = Database(database_url)
    ended = _backend(database)
    with other.begin() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": ended})
    assert _backend(database) not in {ended, _backend(other)}
    other.dispose()


def test_a_connection_that_was_told_something_is_kept(database: Database, database_url: str) -> None:
    kept = _backend(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("LISTEN somebody")
        connection.commit()
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("NOTIFY somebody")
    assert _backend(database) == kept
