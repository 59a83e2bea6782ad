"""Clients that send half a request, or read no answer: what only sockets show. Time-outs are short here, and no test
asserts how long anything took: it waits for the server's side to end.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.http.protocol import SPARE
from models.settings import Settings
from models.storage.database import Database
from tests.api.conftest import served
from tests.api.made import spec

TIMEOUT_S = 0.5
POST = b"POST /v1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONNECTIONS = 3


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), client_timeout_s=TIMEOUT_S)


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    place = urlsplit(address)
    assert place.hostname is not None
    assert place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        yield connection


def to_the_end(connection: socket.socket) -> bytes:
    """All that the server sends until it closes, or resets as it closes on what it had not read; a test that never ends
    is the failure.
    """
    received = b""
    with suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            received += more
    return received


def answer(connection: socket.socket) -> bytes:
    """One answer of known length, on a connection that may stay."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line.split()[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65_536)
    return head.lower() + b"\r\n\r\n" + body


def is_last(answered: bytes, status: int) -> bool:
    head, _, body = answered.partition(b"\r\n\r\n")
    head = head.lower()
    assert json.loads(body)["status"] == status
    assert b"\r\ncontent-type: application/problem+json" in head
    assert b"\r\nx-content-type-options: nosniff" in head
    return head.startswith(f"http/1.1 {status} ".encode()) and b"\r\nconnection: close" in head


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        POST + b"Content-Length: 100\r\n\r\n",
        POST + b'Content-Length: 100\r\n\r\n{"name":',
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"PUT /v1/datasets/mine HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nPK",
        b"PUT /v1/datasets/mine HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_half_a_request_is_told_so_and_cut_off(address: str, half: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(half)
        assert is_last(to_the_end(connection).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"), 408)


@pytest.mark.parametrize("half", [b"G", HEALTH[:-2], POST + b"Content-Length: 9\r\n\r\n{"])
def test_half_of_a_second_request_is_cut_off_too(address: str, half: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(HEALTH + half)
        first, second = to_the_end(connection).split(b'{"status":"alive"}')
        assert first.startswith(b"HTTP/1.1 200")
        assert is_last(second, 408)


def test_the_rest_of_a_refused_body_is_not_waited_for(address: str) -> None:
    with connected(address) as connection:
        foreign = b"Origin: null\r\nContent-Length: 100\r\n\r\n{"
        connection.sendall(POST + foreign)
        assert to_the_end(connection).startswith(b"HTTP/1.1 403")


def trickled(connection: socket.socket, parts: list[bytes], pause_s: float) -> bytes:
    """Sends part after part until the server has closed its side."""
    ended: list[bytes] = []
    reader = threading.Thread(target=lambda: ended.append(to_the_end(connection)))
    reader.start()
    for part in parts:
        if ended:
            break
        try:
            connection.sendall(part)
        except OSError:
            break
        reader.join(pause_s)
    reader.join()
    return ended[0]


@pytest.mark.parametrize(
    "parts",
    [
        [HEALTH[:-2], *[f"X-{number}: 1\r\n".encode() for number in range(2_000)]],
        [POST + b"Content-Length: 2000\r\n\r\n", *[b" "] * 2_000],
    ],
)
def test_a_byte_now_and_then_is_too_slow(address: str, parts: list[bytes]) -> None:
    with connected(address) as connection:
        assert is_last(trickled(connection, parts, TIMEOUT_S / 5), 408)


def test_a_slow_body_that_goes_on_is_taken(database_url: str) -> None:
    """Longer than the time-out in all. It is long enough for a machine that does something else meanwhile."""
    timeout_s = 3.0
    body = json.dumps(spec()).encode()
    body = body[:-1] + b" " * (200_000 - len(body)) + b"}"
    app = create_app(Settings(database_url=SecretStr(database_url), client_timeout_s=timeout_s))
    with served(app) as address, connected(address) as connection:
        connection.sendall(POST + f"Content-Length: {len(body)}\r\n\r\n".encode())
        ends = time.monotonic() + 1.5 * timeout_s
        start = 0
        while time.monotonic() < ends:
            connection.sendall(body[start : start + 4_000])
            start += 4_000
            time.sleep(0.1)  # what is tried is a slow client
        connection.sendall(body[start:])
        assert answer(connection).startswith(b"http/1.1 202")


def test_an_answer_that_takes_longer_is_waited_for(address: str) -> None:
    """Long polls and streams have a whole request: nothing is asked of their clients."""
    with connected(address) as connection:
        body = json.dumps(spec()).encode()
        connection.sendall(POST + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        experiment = json.loads(answer(connection).partition(b"\r\n\r\n")[2])["links"]["self"]
        ask = f"GET {experiment}?wait={3 * TIMEOUT_S} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(ask.encode())
        assert answer(connection).startswith(b"http/1.1 200")


def test_who_reads_no_answer_is_cut_off(address: str) -> None:
    with connected(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with suppress(ConnectionResetError, BrokenPipeError):
            while True:  # until the server, which no longer reads as nobody takes what it sends, has closed
                connection.sendall(ask * 1_000)


def test_more_connections_than_the_bound_are_told_so(database_url: str) -> None:
    bound = Settings(database_url=SecretStr(database_url), client_timeout_s=600, max_connections=CONNECTIONS)
    with served(create_app(bound)) as address, ExitStack() as open_ones:
        for _ in range(CONNECTIONS):
            open_ones.enter_context(connected(address)).sendall(HEALTH[:-2])
        with connected(address) as one_more:
            one_more.sendall(HEALTH)
            assert is_last(to_the_end(one_more), 503)


def test_connections_beyond_all_bounds_are_closed_unheard(database_url: str) -> None:
    patient = Settings(database_url=SecretStr(database_url), client_timeout_s=600, max_connections=1)
    with served(create_app(patient)) as address, ExitStack() as open_ones:
        silent = [open_ones.enter_context(connected(address)) for _ in range(1 + SPARE)]
        with connected(address) as one_more:
            assert one_more.recv(1) == b""
        silent.pop().close()


def test_what_cannot_be_read_is_refused_like_everything_else(address: str) -> None:
    for wrong in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", HEALTH[:-2] + b"Host: evil.example\r\n\r\n"):
        with connected(address) as connection:
            connection.sendall(wrong)
            assert is_last(to_the_end(connection), 400)


def test_a_mistake_of_ours_says_that_the_connection_ends(address: str, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("DROP TABLE run CASCADE"))
    with connected(address) as connection:
        connection.sendall(b"GET /v1/runs/00000000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert is_last(to_the_end(connection), 500)
