"""The embedded Redis: closed to others, and with nothing to lose."""

import socket
from collections.abc import Iterator

import pytest
import redis

from local.folder import Folder
from local.redis import EmbeddedRedis
from local.server import start


@pytest.fixture
def server(folder: Folder) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder)
    child = start(server)
    yield server
    child.stop()


def test_nobody_gets_in_without_the_password(server: EmbeddedRedis) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as stranger:
        stranger.sendall(b"GET a\r\n")
        assert stranger.recv(64).startswith(b"-NOAUTH")


def test_messages_are_never_evicted_and_never_written_to_disk(server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        settings = client.config_get("maxmemory-policy", "save", "appendonly")
    assert settings == {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}
