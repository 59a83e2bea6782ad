"""What a test leaves in its database never reaches the next one."""

import psycopg

from tests.spares import Spares


def test_a_spare_database_is_given_again_and_is_empty(spare_databases: Spares) -> None:
    with spare_databases.one() as url:
        left = psycopg.connect(url)  # of a test that forgot to close it
        left.execute("INSERT INTO idempotency (owner, key, fingerprint, answer) VALUES ('a', 'b', 'c', '{}')")
        left.commit()
    with spare_databases.one() as again, psycopg.connect(again) as connection:
        assert again == url
        assert connection.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert connection.execute(others).fetchone() == (1,)  # which has emptied it
    left.close()


def test_a_database_from_which_all_were_cut_off_is_given_to_nobody_else(spare_databases: Spares) -> None:
    with spare_databases.one() as url, psycopg.connect(url) as connection:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.execute(f"{others} AND datname = current_database()")
    with spare_databases.one() as other:
        assert other != url


def test_numbers_of_events_begin_anew(spare_databases: Spares) -> None:
    numbers = []
    for _ in range(2):
        with spare_databases.one() as url, psycopg.connect(url) as connection:
            numbers.append(connection.execute("SELECT nextval(pg_get_serial_sequence('event', 'id'))").fetchone())
    assert numbers == [(1,), (1,)]


def test_a_database_with_another_schema_is_given_to_nobody_else(spare_databases: Spares) -> None:
    with spare_databases.one() as url, psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE event ADD CONSTRAINT never CHECK (kind <> 'progress')")
    with spare_databases.one() as other:
        assert other != url
