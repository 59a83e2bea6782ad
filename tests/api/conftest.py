"""The API in this process, on a database of the test's own, with a client for it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from api.http.sse import USUAL, Pace
from api.server import Server
from gradient_clinic.command.line import main
from models.settings import Settings
from tests import eventually as waiting
from tests.api.keyed import KEY
from tests.api.made import Json
from tests.conftest import scratch_database

ADDRESS = "http://127.0.0.1"


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url))


@pytest.fixture
def pace() -> Pace:
    """Of streams of events. A test that wants another one is parametrised by it."""
    return USUAL


@pytest.fixture
def app(settings: Settings, pace: Pace) -> FastAPI:
    return create_app(settings, pace)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A mistake of the service answers 500, as it would for a client; it does not end the test."""
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def reader(postgres_server: str, template_database: str) -> Iterator[TestClient]:
    """For requests that store nothing: one database for all of them, as making one takes most of such a test."""
    with scratch_database(postgres_server, template_database) as url:
        app = create_app(Settings(database_url=SecretStr(url)))
        with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
            yield client
            stored = client.get("/v1/experiments").json()["items"]
        assert stored == []


@pytest.fixture
def keyed(settings: Settings) -> Iterator[TestClient]:
    """As ``client``, of a clinic that asks for keys (``tests/api/keyed.py``)."""
    app = create_app(settings.model_copy(update={"api_key": SecretStr(KEY)}))
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Its address at the real server, for what only sockets show."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert waiting.eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"{ADDRESS}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    with served(app) as address:
        yield address


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    return waiting.eventually


@pytest.fixture
def brought(address: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Json]:
    """Imports a log, and answers the run."""

    def bring(file: Path, *options: str) -> Json:
        capsys.readouterr()  # what trainers have printed before
        assert main(["import", str(file), "--to", address, "--json", *options]) == 0
        answer: Json = json.loads(capsys.readouterr().out)
        return answer

    return bring


@pytest.fixture
def refused(address: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Imports what cannot be, and answers what was said; nothing was stored."""

    def bring(file: Path, *options: str) -> str:
        assert main(["import", str(file), "--to", address, *options]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        with httpx2.Client(base_url=address, trust_env=False) as clinic:
            assert clinic.get("/v1/experiments").json()["items"] == []
        return err

    return bring
