"""Server-sent events: what one looks like on the wire, and the response that sends them.

Neither sse-starlette's response, which replaces uvicorn's signal handler on import (decision 9), nor FastAPI's, which
takes fifteen times as long and says 200 before it knows (decision 23).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from prometheus_client import Gauge
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a stream looks for news, in seconds, and how many events it takes at once."""

    sweep_s: float = 5.0
    """Between two looks that nothing has woken: a lost NOTIFY costs this, never an event. As often a silent stream
    shows that it lives."""
    between_s: float = 0.1
    """Between two looks, so that many workers that write at once cost few of them."""
    batch: int = 500
    list_s: float = 0.5
    """Between two looks at all that has changed, of however many experiments."""


USUAL = Pace()


@dataclass(frozen=True, slots=True)
class Streams:
    """What all streams of a process share."""

    open: Gauge
    pace: Pace


STILL_HERE = ": still here\n\n"
"""A comment, which clients skip: proxies take a connection without any traffic for a dead one."""


def event(name: str, data: BaseModel, number: int | None = None) -> str:
    """Without a number a client keeps the one that it has."""
    lines = [] if number is None else [f"id: {number}"]
    # JSON has no line break that is not escaped, so one line holds it.
    return "\n".join([*lines, f"event: {name}", f"data: {data.model_dump_json()}"]) + "\n\n"


class EventStream(StreamingResponse):
    """Sends what the generator yields until it ends or the client has gone; then the generator is closed at once."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        # The second header keeps nginx from collecting a buffer first.
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
