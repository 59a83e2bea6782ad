"""What a client asks for, and asks for again until an answer comes: experiments under a key, cancels and deletions."""

import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Literal

import httpx

from chaos.experiments import Spec
from local.errors import LocalError

TIMEOUT_S = 3.0
PATH = "/v1/experiments"
AGAIN = {httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS}
CROWD = 32


class RefusedError(LocalError):
    """The API says what it must not say."""


@dataclass(frozen=True, slots=True)
class Order:
    """An experiment and the key that it is asked for under."""

    key: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall become of an experiment."""

    kind: Literal["cancel", "delete"]
    experiment_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Asked:
    """What clients were told: the experiments that are stored, some of them to be cancelled or deleted."""

    stored: frozenset[uuid.UUID]
    cancelled: frozenset[uuid.UUID] = frozenset()
    deleted: frozenset[uuid.UUID] = frozenset()


@dataclass(slots=True)
class Orders:
    """``ask`` tries once all that has no answer yet. Every answer to one key must name the same experiment."""

    address: str
    _stored: dict[str, uuid.UUID] = field(default_factory=dict)
    """The experiment of each key that was answered."""
    _asked: dict[str, set[uuid.UUID]] = field(default_factory=lambda: {"cancel": set(), "delete": set()})
    _orders: list[Order] = field(default_factory=list)
    _wishes: list[Wish] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=CROWD)
        self._http = httpx.Client(base_url=self.address, timeout=TIMEOUT_S, trust_env=False, limits=limits)

    @property
    def unanswered(self) -> int:
        return len(self._orders) + len(self._wishes)

    def asked(self) -> Asked:
        return Asked(frozenset(self._stored.values()), *map(frozenset, self._asked.values()))

    def new(self, spec: Spec) -> Order:
        """To be asked for from now on."""
        order = Order(f"chaos-{next(self._numbers)}", spec)
        self._orders.append(order)
        return order

    def wish(self, wish: Wish) -> None:
        """To be asked for from now on. Whatever becomes of the request, the experiment counts as asked."""
        self._asked[wish.kind].add(wish.experiment_id)
        self._wishes.append(wish)

    def ask(self) -> None:
        self._orders = [order for order in self._orders if not self._placed(order)]
        self._wishes = [wish for wish in self._wishes if not self._granted(wish)]

    def crowd(self, order: Order) -> int:
        """The same order from 32 threads at the same moment. How many were told of an experiment."""
        together = threading.Barrier(CROWD)

        def place(_: int) -> bool:
            together.wait()
            return self._placed(order)

        with ThreadPoolExecutor(CROWD) as threads:
            return sum(threads.map(place, range(CROWD)))

    def unread(self, order: Order) -> HTTPConnection:
        """Sends the order and leaves its answer where it is."""
        address = httpx.URL(self.address)
        connection = HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
        headers = {"Idempotency-Key": order.key, "Content-Type": "application/json"}
        connection.request("POST", PATH, json.dumps(order.spec), headers)
        return connection

    def refuses_to_retry(self, experiment_id: uuid.UUID) -> bool | None:
        """Whether the API says that nothing has failed. None: it says nothing."""
        answer = self._answer("POST", f"{PATH}/{experiment_id}/retry")
        return None if answer is None else answer.status_code in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}

    def close(self) -> None:
        self._http.close()

    def _placed(self, order: Order) -> bool:
        answer = self._answer("POST", PATH, json=order.spec, headers={"Idempotency-Key": order.key})
        if answer is None or answer.status_code in AGAIN:
            return False
        if not answer.is_success:
            raise RefusedError(answer.text)
        found = uuid.UUID(answer.json()["id"])
        if self._stored.setdefault(order.key, found) != found:
            message = f"{order.key} was answered with {self._stored[order.key]} and with {found}"
            raise RefusedError(message)
        return True

    def _granted(self, wish: Wish) -> bool:
        path = f"{PATH}/{wish.experiment_id}"
        if wish.kind == "delete":
            answer, fine = self._answer("DELETE", path), {httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND}
        else:
            # It may have ended by now, or be deleted.
            answer = self._answer("POST", f"{path}/cancel")
            fine = {httpx.codes.ACCEPTED, httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}
        if answer is not None and answer.status_code not in fine:
            raise RefusedError(answer.text)
        return answer is not None

    def _answer(self, method: str, path: str, **request: object) -> httpx.Response | None:
        """None where there was none, or where the API says that it cannot just now."""
        with suppress(httpx.TransportError):
            answer = self._http.request(method, path, **request)  # type: ignore[arg-type]  # as httpx takes them
            return None if answer.is_server_error else answer
        return None
