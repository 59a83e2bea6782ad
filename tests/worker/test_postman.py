"""From an end to a receiver: written with it, sent until it is taken or given up, and no receiver holds up another."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from models import runs
from models.runs import webhooks
from models.runs.webhooks import MOST_TRIES, DeliveryState, Message
from models.storage.database import Database
from models.storage.tables import Webhook, WebhookDelivery
from tests.eventually import eventually
from tests.models.runs.test_runs import claimed, run_ids, submit
from tests.receiver import Receiver, receiving, status
from worker.posting import Post
from worker.postman import Postman, pause_s

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BOTH = ("experiment.ended", "run.ended")


def hook(database: Database, url: str, *events: str, owner: str = "local", active: bool = True) -> uuid.UUID:
    made = uuid.uuid4()
    values = {"owner": owner, "url": url, "events": list(events or BOTH), "secret": SECRET, "active": active}
    with database.begin() as session:
        session.execute(insert(Webhook).values(id=made, **values))
    return made


def postman(database: Database) -> Postman:
    return Postman(database, Post(private=True, limit_s=5.0), 60.0)


@pytest.fixture
def started(database: Database) -> Iterator[Postman]:
    sender = postman(database)
    sender.start()
    yield sender
    sender.close()


def rows(database: Database) -> list[WebhookDelivery]:
    with database.begin() as session:
        return list(session.execute(select(WebhookDelivery).order_by(WebhookDelivery.created_at)).scalars())


def fail(database: Database, experiment_id: uuid.UUID) -> None:
    for run_id in run_ids(database, experiment_id):
        lease = claimed(database, run_id)
        with database.begin() as session:
            assert runs.fail(session, lease, {"title": "Run failed", "detail": "broken"})


def make_due(database: Database) -> None:
    with database.begin() as session:
        session.execute(update(WebhookDelivery).values(due_at=func.clock_timestamp()))


def pinged(database: Database, webhook_id: uuid.UUID) -> uuid.UUID:
    with database.begin() as session:
        return webhooks.ping(session, webhook_id)


def take(database: Database) -> Message | None:
    with database.begin() as session:
        return webhooks.take(session)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received]


def test_ends_are_told_to_the_webhooks_of_their_owner_that_ask_for_them(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1], labels={"team": "vision"})
    with receiving() as all_of_it, receiving() as ends, receiving() as nothing:
        hook(database, all_of_it.url)
        hook(database, ends.url, "experiment.ended")
        hook(database, nothing.url, owner="another")
        hook(database, nothing.url, active=False)
        fail(database, experiment_id)
        assert postman(database).deliver() == 4
    assert [one["type"] for one in told(all_of_it)] == ["run.ended", "run.ended", "experiment.ended"]
    (end,) = told(ends)
    assert end["data"] == {
        "experiment_id": str(experiment_id), "name": "life", "labels": {"team": "vision"}, "state": "failed",
        "progress": 1.0, "runs": {"queued": 0, "running": 0, "succeeded": 0, "failed": 2, "cancelled": 0},
    }  # fmt: skip
    run = told(all_of_it)[0]["data"]
    assert (run["run_id"], run["state"], run["reason"]) == (
        str(run_ids(database, experiment_id)[0]),
        "failed",
        "broken",
    )
    assert nothing.received == []
    assert {row.state for row in rows(database)} == {"delivered"}


def test_an_end_that_is_rolled_back_is_not_told_and_one_that_comes_again_is(database: Database) -> None:
    hook(database, "http://127.0.0.1:1/", "experiment.ended")
    experiment_id = submit(database, seeds=[0])
    with database.begin() as session:
        assert runs.cancel(session, experiment_id)
        session.rollback()
    assert rows(database) == []
    fail(database, experiment_id)
    with database.begin() as session:
        runs.settle(session, experiment_id)  # told again, and no news
    assert len(rows(database)) == 1
    with database.begin() as session:
        assert runs.retry(session, experiment_id) == 1
    fail(database, experiment_id)
    assert len(rows(database)) == 2
    with database.begin() as session:
        runs.remove(session, experiment_id)
    assert rows(database) == []


def test_what_is_not_taken_is_sent_again_later_and_later_then_given_up_and_can_be_replayed(database: Database) -> None:
    with receiving(*[status(500)] * MOST_TRIES) as receiver:
        hook_id = hook(database, receiver.url)
        with database.begin() as session:
            delivery_id = webhooks.ping(session, hook_id)
        sender = postman(database)
        for tried in range(1, MOST_TRIES + 1):
            assert sender.deliver() == 1
            (row,) = rows(database)
            assert (row.tried, row.attempts[-1]["status"]) == (tried, 500)
            assert row.state == (DeliveryState.DEAD if tried == MOST_TRIES else DeliveryState.PENDING)
            assert sender.deliver() == 0
            make_due(database)
        assert sender.deliver() == 0
        with database.begin() as session:
            webhooks.replay(session, delivery_id)
        assert sender.deliver() == 1
    (row,) = rows(database)
    assert (row.webhook_id, row.state, len(row.attempts), row.attempts[-1]["status"]) == (hook_id, "delivered", 9, 204)
    assert {one.headers["webhook-id"] for one in receiver.received} == {str(row.id)}
    assert len({one.body for one in receiver.received}) == 1


def test_pauses_grow_by_four_and_are_never_quite_the_same() -> None:
    for tried in range(1, 8):
        pauses = [pause_s(tried) for _ in range(50)]
        longest = 5.0 * 4 ** (tried - 1)
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) == 50


def test_a_receiver_that_is_gone_is_told_of_nothing_more(database: Database) -> None:
    with receiving(status(410)) as receiver:
        hook_id = hook(database, receiver.url)
        with database.begin() as session:
            webhooks.ping(session, hook_id)
        assert postman(database).deliver() == 1
        assert rows(database)[0].state == DeliveryState.DEAD
        fail(database, submit(database))
    assert len(rows(database)) == 1
    with database.begin() as session:
        assert not session.get_one(Webhook, hook_id).active


def test_who_dies_while_sending_has_it_sent_again_and_what_it_says_late_counts_for_nothing(database: Database) -> None:
    with receiving() as receiver:
        with database.begin() as session:
            webhooks.ping(session, hook(database, receiver.url))
        with database.begin() as session:
            dead = webhooks.take(session)
        assert dead is not None
        assert postman(database).deliver() == 0
        with database.begin() as session:
            session.execute(update(WebhookDelivery).values(held_until=func.clock_timestamp()))
        assert postman(database).deliver() == 1
        with database.begin() as session:
            webhooks.settle(session, dead, webhooks.Reply(500), 1.0)
    (row,) = rows(database)
    assert (row.state, row.tried, len(row.attempts)) == ("delivered", 2, 1)


@pytest.mark.usefixtures("started")
def test_a_receiver_that_hangs_holds_up_its_own_messages_and_no_others(database: Database) -> None:
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        release.wait(60.0)
        status(200)(handler)

    with receiving(hang) as slow, receiving() as quick:
        slow_id, quick_id = hook(database, slow.url), hook(database, quick.url)
        for webhook_id in (slow_id, slow_id, quick_id, quick_id, quick_id):
            with database.begin() as session:
                webhooks.ping(session, webhook_id)
        assert eventually(lambda: len(quick.received) == 3)
        assert eventually(lambda: len(slow.received) > 0)
        assert len(slow.received) == 1
        release.set()
        assert eventually(lambda: all(row.state == "delivered" for row in rows(database)))


def test_no_owner_has_more_than_its_share_under_way_however_many_look(database: Database) -> None:
    """Its messages are older and many, and other owners' are taken all the same."""
    for _ in range(5):
        pinged(database, hook(database, "http://127.0.0.1:1/", owner="many"))
    theirs = {pinged(database, hook(database, "http://127.0.0.1:1/", owner=owner)) for owner in ("one", "two")}
    with ThreadPoolExecutor(6) as pool:
        taken = [future.result() for future in [pool.submit(take, database) for _ in range(6)]]
    ids = {message.id for message in taken if message is not None}
    assert len(ids) == webhooks.MOST_OF_AN_OWNER + 2
    assert theirs < ids


def test_who_has_nothing_under_way_is_next(database: Database) -> None:
    for _ in range(2):
        pinged(database, hook(database, "http://127.0.0.1:1/", owner="many"))
    assert take(database) is not None
    late = pinged(database, hook(database, "http://127.0.0.1:1/", owner="few"))
    assert getattr(take(database), "id", None) == late


def test_owners_take_turns_where_nothing_is_under_way(database: Database) -> None:
    """By lot: that it falls on the other owner forty times is not to be expected."""
    with receiving() as receiver:
        many = hook(database, receiver.url, owner="many")
        for _ in range(40):
            pinged(database, many)
        late = pinged(database, hook(database, receiver.url, owner="few"))
        assert postman(database).deliver() == 41
    assert receiver.received[-1].headers["webhook-id"] != str(late)


def test_what_is_being_sent_is_not_replayed_and_its_sender_settles_it(database: Database) -> None:
    delivery_id = pinged(database, hook(database, "http://127.0.0.1:1/"))
    sent = take(database)
    with database.begin() as session:
        assert not webhooks.replay(session, delivery_id)
    assert take(database) is None
    assert sent is not None
    with database.begin() as session:
        webhooks.settle(session, sent, webhooks.Reply(204), 1.0)
    assert rows(database)[0].state == DeliveryState.DELIVERED


def test_who_was_too_slow_does_not_settle_what_was_replayed_since(database: Database) -> None:
    """Tries are counted anew by then: both are the first."""
    delivery_id = pinged(database, hook(database, "http://127.0.0.1:1/"))
    slow = take(database)
    with database.begin() as session:
        session.execute(update(WebhookDelivery).values(held_until=func.clock_timestamp()))
    with database.begin() as session:
        assert webhooks.replay(session, delivery_id)
    again = take(database)
    assert slow is not None
    assert again is not None
    assert (slow.id, slow.tried) == (again.id, again.tried)
    with database.begin() as session:
        webhooks.settle(session, slow, webhooks.Reply(204), 1.0)
    (row,) = rows(database)
    assert (row.state, row.held_until, row.attempts) == ("pending", again.held_until, [])


def test_of_the_attempts_the_newest_are_kept_and_old_messages_go(database: Database) -> None:
    with receiving() as receiver:
        with database.begin() as session:
            delivery_id = webhooks.ping(session, hook(database, receiver.url))
        for _ in range(22):
            with database.begin() as session:
                webhooks.replay(session, delivery_id)
            assert postman(database).deliver() == 1
    assert len(rows(database)[0].attempts) == 20
    with database.begin() as session:
        webhooks.forget_old(session)
    assert len(rows(database)) == 1
    with database.begin() as session:
        session.execute(update(WebhookDelivery).values(created_at=func.clock_timestamp() - webhooks.KEPT))
        webhooks.forget_old(session)
    assert rows(database) == []
