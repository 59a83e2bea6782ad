"""What clients do at the wrong moment, and an API that dies when it has done what was asked and not said so."""

import signal
from contextlib import closing
from http.client import HTTPConnection
from typing import Literal

from sqlalchemy import select

from chaos.faults.base import victim_in
from chaos.orders import Order, RefusedError, Wish
from chaos.processes import send
from chaos.town import Town
from models import runs
from models.status import State
from models.tables import Idempotency, Run

STORED_WITHIN_S = 3.0


def done_and_not_said(town: Town) -> str | None:
    """An order is committed and its API killed before a byte of the answer has left; it is asked for again later.

    Where the answer was quicker the API is killed all the same, and this fault counts as missed.
    """
    pid, order = town.clinic.pid("api"), town.order()
    if pid is None or order is None:
        return None
    with town.database.listening(runs.QUEUE_CHANNEL) as notices:
        try:
            connection = town.orders.unread(order)
        except OSError:  # the API is away
            return None
        with closing(connection):
            if not any(_stopped_behind_commit(town, pid, order) for _ in notices.notifies(timeout=STORED_WITHIN_S)):
                return None
            send(pid, signal.SIGKILL)
            said = _was_answered(connection)
    return None if said else f"process {pid} with {order.key} stored and not answered"


def _stopped_behind_commit(town: Town, pid: int, order: Order) -> bool:
    """Any commit may have been the order's own: there is no time to look before the API is stopped."""
    send(pid, signal.SIGSTOP)
    stored = False
    try:
        stored = _is_stored(town, order)
    finally:
        if not stored:
            send(pid, signal.SIGCONT)
    return stored


def _is_stored(town: Town, order: Order) -> bool:
    with town.database.begin() as session:
        return session.execute(select(Idempotency.key).where(Idempotency.key == order.key)).first() is not None


def _was_answered(connection: HTTPConnection) -> bool:
    try:
        return bool(connection.sock.recv(1))
    except OSError:
        return False


def crowd(town: Town) -> str | None:
    order = town.order()
    if order is None:
        return None
    told = town.orders.crowd(order)
    return f"32 requests under {order.key} at once: {told} were told of the same experiment" if told else None


def cancel(town: Town) -> str | None:
    return _wished(town, "cancel")


def delete(town: Town) -> str | None:
    return _wished(town, "delete")


def _wished(town: Town, kind: Literal["cancel", "delete"]) -> str | None:
    victim = victim_in(town)
    if victim is None or victim.experiment_id in town.references:
        return None
    town.orders.wish(Wish(kind, victim.experiment_id))
    town.orders.ask()
    return f"experiment {victim.experiment_id}, of which {victim.worker} trains a run"


def retry(town: Town) -> str | None:
    """Nothing fails here, so a retry is refused, whatever else has happened to the experiment."""
    with town.database.begin() as session:
        ended = select(Run.experiment_id).where(Run.state == State.SUCCEEDED).order_by(Run.id)
        found = list(session.execute(ended).scalars())
    if not found:
        return None
    experiment_id = town.dice.choice(found)
    refused = town.orders.refuses_to_retry(experiment_id)
    if refused is None:
        return None
    if not refused:
        message = f"a retry of {experiment_id} was accepted, and none of its runs has failed"
        raise RefusedError(message)
    return f"experiment {experiment_id}, and was refused"


REQUESTS = {
    "done and not said": done_and_not_said,
    "32 at once": crowd,
    "cancelled": cancel,
    "deleted": delete,
    "retried": retry,
}
