"""What a request takes of what all share: connections to the database, threads, and of a row no more than it says."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from anyio import to_thread
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.app import CONNECTIONS, THREADS
from models.storage.database import Database
from tests.api.made import spec


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


def test_as_many_threads_answer_as_there_is_work_for(client: TestClient) -> None:
    assert client.portal is not None

    async def threads() -> float:
        return to_thread.current_default_thread_limiter().total_tokens

    assert client.portal.call(threads) == THREADS


@pytest.mark.parametrize("of", ["", "/runs", "/done", "/comparison"])
def test_a_stored_comparison_is_read_by_who_answers_with_it(app: FastAPI, client: TestClient, of: str) -> None:
    """It may be larger than all else that an answer needs."""
    experiment = client.post("/v1/experiments", json=spec()).json()
    asked: list[str] = []
    event.listen(app.state.database.engine, "before_cursor_execute", lambda *its: asked.append(its[2]))
    for path in ("/v1/experiments", f"/v1/experiments/{experiment['id']}{of}"):
        asked.clear()
        assert client.get(path).is_success
        assert any("experiment.comparison" in statement for statement in asked) == path.endswith("/comparison")
