"""Uvicorn, with connections that end, and which sends home those who wait for a change before it ends itself."""

import socket
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.changes import Changes
from api.http.protocol import Connection

_GRACEFUL_S = 5


class Server(uvicorn.Server):
    """Without this the end would take as long as uvicorn allows, and then cut them off with an error."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        connection: Any = partial(Connection, limits=app.state.limits)
        # No line for each request: it would quote addresses, and names of data sets in them. /metrics counts by route.
        config = uvicorn.Config(
            app, host, port, http=connection, timeout_graceful_shutdown=_GRACEFUL_S, access_log=False
        )
        super().__init__(config)
        self._changes: Changes = app.state.changes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._changes.release()
        await super().shutdown(sockets)
