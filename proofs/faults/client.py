"""A client of the API that repeats each request until an answer comes: submissions under a key, cancels, deletions."""

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

from local.errors import LocalError
from proofs.faults.experiments import Spec

TIMEOUT_S = 3.0
"""Shorter than the longest sleep of the API: some requests are repeated while the first still lies in its socket."""
PATH = "/v1/experiments"
AGAIN = {httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS}
CROWD = 32
"""More than the API has connections to its database, so that the requests also wait for each other there."""


class RefusedError(LocalError):
    """The API gave an answer that it must not give."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An experiment and the idempotency key that it is submitted under."""

    key: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class Change:
    """A request to end an experiment or to remove it."""

    kind: Literal["cancel", "delete"]
    experiment_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Expected:
    """Experiments that the API has said are stored, and those among them whose cancel or deletion was requested."""

    stored: frozenset[uuid.UUID]
    cancelled: frozenset[uuid.UUID] = frozenset()
    deleted: frozenset[uuid.UUID] = frozenset()


@dataclass(slots=True)
class Client:
    """``send`` sends once more all that has no answer yet. Every answer to one key must name the same experiment."""

    address: str
    _stored: dict[str, uuid.UUID] = field(default_factory=dict)
    """The experiment of each key that was answered."""
    _changed: dict[str, set[uuid.UUID]] = field(default_factory=lambda: {"cancel": set(), "delete": set()})
    _submissions: list[Submission] = field(default_factory=list)
    _changes: list[Change] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=CROWD)
        self._http = httpx.Client(base_url=self.address, timeout=TIMEOUT_S, trust_env=False, limits=limits)

    @property
    def unanswered(self) -> int:
        return len(self._submissions) + len(self._changes)

    def expected(self) -> Expected:
        return Expected(frozenset(self._stored.values()), *map(frozenset, self._changed.values()))

    def submit(self, spec: Spec) -> Submission:
        """It is sent with the next ``send``, and until it is answered."""
        submission = Submission(f"chaos-{next(self._numbers)}", spec)
        self._submissions.append(submission)
        return submission

    def change(self, change: Change) -> None:
        """It is sent as a submission is. From now on the experiment may be changed, whatever becomes of the request."""
        # Before it is sent: an answer that is lost does not mean that nothing was done.
        self._changed[change.kind].add(change.experiment_id)
        self._changes.append(change)

    def send(self) -> None:
        self._submissions = [submission for submission in self._submissions if not self._is_stored(submission)]
        self._changes = [change for change in self._changes if not self._is_answered(change)]

    def submit_at_once(self, submission: Submission) -> int:
        """Sends it from 32 threads at the same moment. Returns how many of them were answered with an experiment."""
        # Threads start one after the other, and the first might be answered before the last exists.
        together = threading.Barrier(CROWD)

        def send(_: int) -> bool:
            together.wait()
            return self._is_stored(submission)

        with ThreadPoolExecutor(CROWD) as threads:
            return sum(threads.map(send, range(CROWD)))

    def submit_unread(self, submission: Submission) -> HTTPConnection:
        """Sends it and leaves the answer unread in the connection."""
        address = httpx.URL(self.address)
        connection = HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
        headers = {"Idempotency-Key": submission.key, "Content-Type": "application/json"}
        connection.request("POST", PATH, json.dumps(submission.spec), headers)
        return connection

    def refuses_to_retry(self, experiment_id: uuid.UUID) -> bool | None:
        """Whether the API answers that nothing has failed. None: it does not answer."""
        answer = self._answer("POST", f"{PATH}/{experiment_id}/retry")
        return None if answer is None else answer.status_code in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}

    def close(self) -> None:
        self._http.close()

    def _is_stored(self, submission: Submission) -> bool:
        answer = self._answer("POST", PATH, json=submission.spec, headers={"Idempotency-Key": submission.key})
        # 409 while the first request with this key is under way: an answer, but not yet the one.
        if answer is None or answer.status_code in AGAIN:
            return False
        if not answer.is_success:
            raise RefusedError(answer.text)
        experiment_id = uuid.UUID(answer.json()["id"])
        # One experiment for a key, however often it was sent and whatever died in between.
        if self._stored.setdefault(submission.key, experiment_id) != experiment_id:
            message = f"{submission.key} was answered with {self._stored[submission.key]} and with {experiment_id}"
            raise RefusedError(message)
        return True

    def _is_answered(self, change: Change) -> bool:
        path = f"{PATH}/{change.experiment_id}"
        if change.kind == "delete":
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
            # An answer of 5xx leaves open whether anything was done, as a lost one does.
            return None if answer.is_server_error else answer
        return None
