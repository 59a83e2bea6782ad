"""One answer for one key on real PostgreSQL, also when many ask at once or the first one fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from models.runs.idempotency import KEPT, Answer, KeyInFlightError, Once, OtherBodyError, forget_old
from models.storage.database import Database
from models.storage.tables import Idempotency


def ask(database: Database, once: Once, made: list[int]) -> Answer:
    def make() -> Answer:
        made.append(1)
        return {"number": len(made)}

    with database.begin() as session:
        return once.answer(session, make)


def test_the_second_time_the_first_answer_is_given_and_nothing_is_made(database: Database) -> None:
    made: list[int] = []
    once = Once.of("local", "k", b"body")
    assert [ask(database, once, made) for _ in range(3)] == [{"number": 1}] * 3
    assert made == [1]


def test_another_body_under_the_key_is_refused(database: Database) -> None:
    ask(database, Once.of("local", "k", b"body"), [])
    with pytest.raises(OtherBodyError):
        ask(database, Once.of("local", "k", b"other"), [])


def test_keys_of_two_owners_have_nothing_to_do_with_each_other(database: Database) -> None:
    made: list[int] = []
    for owner in ("a", "b"):
        ask(database, Once.of(owner, "k", b"body"), made)
    assert len(made) == 2


def test_what_failed_may_be_asked_again(database: Database) -> None:
    once = Once.of("local", "k", b"body")

    def fail() -> Answer:
        raise RuntimeError

    with pytest.raises(RuntimeError), database.begin() as session:
        once.answer(session, fail)
    assert ask(database, once, []) == {"number": 1}


def test_of_many_at_once_one_works_and_the_others_get_its_answer_or_wait_their_turn(database: Database) -> None:
    once, made, barrier = Once.of("local", "k", b"body"), list[int](), threading.Barrier(12)

    def race(_: int) -> Answer | None:
        barrier.wait()
        try:
            return ask(database, once, made)
        except KeyInFlightError:
            return None

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(race, range(12)))
    assert {"number": 1} in answers
    assert all(answer in ({"number": 1}, None) for answer in answers)
    assert made == [1]


def test_old_keys_are_forgotten_and_young_ones_kept(database: Database) -> None:
    for key in ("old", "young"):
        ask(database, Once.of("local", key, b"body"), [])
    with database.begin() as session:
        old = func.clock_timestamp() - KEPT * 1.01
        session.execute(update(Idempotency).where(Idempotency.key == "old").values(created_at=old))
        forget_old(session)
        assert session.execute(select(Idempotency.key)).scalars().all() == ["young"]
