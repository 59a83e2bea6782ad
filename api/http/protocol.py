"""One connection: uvicorn's, which does not wait for ever for a client that sends half a request or reads no answer.

Uvicorn ends connections that are idle between two requests, and no others; what it bounds is requests, not connections.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from api.http.errors import problem_response
from api.http.headers import HEADERS

SLOWEST_BYTES_S = 1024
"""Of a body, on average over the time-out: what is slower holds a connection rather than sends something."""
UNREAD_BYTES = 1024 * 1024
"""Of a body whose request has been answered already. A small rest is let in, so that the answer is not lost with the
connection and the next request may follow. A large one ends it.
"""
SPARE = 64
"""So many connections above the bound are told so; any more are closed at once."""
_LAST = HEADERS | {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may make us wait, and how many may be connected."""

    client_timeout_s: float
    max_connections: int


class _Awaited(Enum):
    HEAD = auto()
    BODY = auto()


class Connection(H11Protocol):
    """A head has to come within the time-out, a body at ``SLOWEST_BYTES_S``, and some of an answer has to leave within
    it. Nothing is asked of a client whose request is here: streams and long polls last as long as they like.
    """

    def __init__(self, *arguments: Any, limits: Limits, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._limits = limits
        self._awaited: _Awaited | None = None
        self._received = 0
        self._unread = 0
        self._asked = False
        self._unsent = 0
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own choice
        super().connection_made(transport)
        # So that pause_writing tells of whatever the kernel does not take, not only of more than 64 KiB.
        transport.set_write_buffer_limits(high=0)
        over = len(self.connections) - self._limits.max_connections
        if over > SPARE:
            # Not close(): that would wait for what is buffered, for a client we know nothing of.
            transport.abort()
            return
        if over > 0:
            self.app = _too_many
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._reading)
        _stop(self._writing)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        self._unread = self._unread + len(data) if answered else 0
        if self._unread > UNREAD_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._writing)

    def shutdown(self) -> None:
        """An answer that has not begun says that it is the last one."""
        super().shutdown()
        cycle = self._cycle()
        if cycle is not None and not cycle.response_started:
            cycle.default_headers = [*cycle.default_headers, CLOSE_HEADER]

    def send_400_response(self, msg: str) -> None:
        """Answers what h11 cannot read with problem details, as every other refusal."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _cycle(self) -> RequestResponseCycle | None:
        """The newest request, which uvicorn declares to be there from the beginning."""
        return self.cycle

    def _watch(self) -> None:
        """A window begins with each thing that is waited for; a body is given one after another."""
        awaited = self._missing()
        if awaited is not self._awaited:
            _stop(self._reading)
            self._awaited = awaited
            if awaited is not None and not self.transport.is_closing():
                self._open_window()

    def _missing(self) -> _Awaited | None:
        """What of a request the client has still to send. Between two requests uvicorn has its own time-out."""
        if self.conn.their_state is h11.SEND_BODY:
            return _Awaited.BODY
        begun = self._cycle() is None or self.conn.trailing_data[0] != b""
        return _Awaited.HEAD if self.conn.their_state is h11.IDLE and begun else None

    def _open_window(self) -> None:
        # A client that has to wait for us is not slow: we have paused it, or it waits for "100 Continue".
        self._asked = self._awaited is _Awaited.HEAD or not (
            self.flow.read_paused or self.cycle.waiting_for_100_continue
        )
        self._received = 0
        self._reading = self.loop.call_later(self._limits.client_timeout_s, self._close_window)

    def _close_window(self) -> None:
        # Where we have paused it meanwhile, it had sent more than the second figure.
        enough = min(SLOWEST_BYTES_S * self._limits.client_timeout_s, HIGH_WATER_LIMIT)
        if self._awaited is _Awaited.BODY and (not self._asked or self._received >= enough):
            self._open_window()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the rest of the request did not come, or came too slowly")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer where no answer has begun, and close. Whoever reads the request is told that the client has gone."""
        cycle = self._cycle()
        # The route may be waiting for the rest of the body: it is woken, and finds the client gone.
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            path = "/" if cycle is None else cycle.scope["path"]
            answer = problem_response(status, detail, path, headers=_LAST)
            head = h11.Response(status_code=status, headers=answer.raw_headers, reason=STATUS_PHRASES[status])
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _await_reader(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(self._limits.client_timeout_s, self._check_reader)

    def _check_reader(self) -> None:
        """What waits to be sent only shrinks here: the app writes no more until it is gone."""
        if self.transport.get_write_buffer_size() < self._unsent:
            self._await_reader()
        else:
            self.transport.abort()


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "too many clients are connected; try again in a moment"
    headers = _LAST | {"Retry-After": "2"}
    await problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, scope["path"], headers=headers)(scope, receive, send)
