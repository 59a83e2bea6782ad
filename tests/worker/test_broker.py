"""The options as they reach a real socket to a real Redis, by way of Celery and kombu."""

import socket
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from models.settings import Settings
from worker.app import create_app


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no TCP_USER_TIMEOUT, and another name for the idle time")
def test_every_socket_to_redis_gives_up_a_host_that_says_nothing(redis_url: str) -> None:
    settings = Settings(redis_url=SecretStr(redis_url), database_url=SecretStr("postgresql://unused"), lease_s=9.0)
    with create_app(settings).connection_for_read() as connection:
        channel: Any = connection.default_channel
        for pool in (channel.pool, channel.async_pool):
            opened = pool.get_connection()
            its: socket.socket = opened._sock  # noqa: SLF001 -- redis-py shows it to nobody
            assert its.gettimeout() == 3.0
            assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
            assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
            assert opened.health_check_interval == 3
            opened.disconnect()
