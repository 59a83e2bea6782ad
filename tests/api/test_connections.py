"""The database's connections: so many and no more, which stay."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.app import CONNECTIONS
from models.storage.database import Database


def test_a_request_beyond_them_waits_and_makes_none_of_its_own(app: FastAPI, client: TestClient) -> None:
    database: Database = app.state.database
    made: list[object] = []

    def count(*new: Any) -> None:
        made.append(new)

    event.listen(database.engine, "connect", count)
    with ThreadPoolExecutor(1) as pool, ExitStack() as held:
        for _ in range(CONNECTIONS):
            held.enter_context(database.begin()).connection()
        asked = pool.submit(client.get, "/v1/experiments")
        with pytest.raises(TimeoutError):
            asked.result(timeout=1.0)
        held.close()
        assert asked.result().is_success
    assert len(made) == CONNECTIONS
