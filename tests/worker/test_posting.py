"""One message: signed as receivers check it, and never to where a client has no business."""

import datetime as dt
import json
import socket
import time
import uuid
from http.server import BaseHTTPRequestHandler
from threading import Event

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from models.runs.webhooks import Message
from tests.receiver import receiving, status
from worker.posting import Post, is_public

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
INSIDE = "the name of its host means no public address"


def message(url: str) -> Message:
    data = {"name": "größer", "state": "succeeded"}
    now = dt.datetime.now(dt.UTC)
    return Message(uuid.uuid4(), uuid.uuid4(), url, SECRET, "experiment.ended", data, now, 1, now)


def test_a_receiver_can_verify_what_it_gets() -> None:
    with receiving() as receiver:
        asked = message(receiver.url)
        reply = Post(private=True).send(asked)
    assert (reply.status, reply.error, reply.is_taken) == (204, None, True)
    (got,) = receiver.received
    told = Webhook(SECRET).verify(got.body, got.headers)
    assert told == {"type": "experiment.ended", "timestamp": asked.created_at.isoformat(), "data": asked.data}
    assert (got.headers["webhook-id"], got.headers["content-type"]) == (str(asked.id), "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_AAAA").verify(got.body, got.headers)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "localhost", "[::1]",
             "[::ffff:127.0.0.1]"]
)  # fmt: skip
def test_this_host_is_not_reached_however_it_is_written(host: str) -> None:
    with receiving() as receiver:
        reply = Post().send(message(f"http://{host}:{receiver.port}/"))
    assert (reply.status, reply.error) == (None, INSIDE)
    assert receiver.received == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.1.1", False),
        ("255.255.255.255", False), ("fd00:ec2::254", False), ("fe80::1%eth0", False), ("ff0e::1", False),
        ("::", False), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False), ("::7f00:1", False), ("::ffff:0:7f00:1", False), ("fec0::1", False),
        ("3fff::1", False), ("5f00::1", False), ("192.0.0.9", False), ("192.88.99.1", False),
        ("2606:2800:220:1::5efe:7f00:1", False), ("2606:2800:220:1:200:5efe:7f00:1", False),
        ("::ffff:192.0.0.9", False), ("::ffff:93.184.216.34", True), ("2606:2800:220:1:0:5eff:7f00:1", True),
    ],
)  # fmt: skip
def test_public_is_what_anybody_would_reach(address: str, *, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("others", [[], ["93.184.216.34"]])
def test_a_name_that_means_a_host_inside_is_not_reached(others: list[str]) -> None:
    """Nor where only one of its addresses does."""
    with receiving() as receiver:
        post = Post(resolve=lambda *_: [*others, "127.0.0.1"], limit_s=1.0)
        reply = post.send(message(f"http://harmless.example:{receiver.port}/"))
    assert (reply.error, receiver.received) == (INSIDE, [])


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_means_nothing_is_told_as_one_inside_is(error: Exception) -> None:
    """Else the sentences would say which names there are inside."""

    def unknown(*_: object) -> list[str]:
        raise error

    assert Post(resolve=unknown).send(message("http://database.internal/")).error == INSIDE


@pytest.mark.parametrize("private", [False, True])
def test_a_resolver_that_takes_too_long_is_not_waited_for(*, private: bool) -> None:
    """The system's has limits of its own, which add up to half a minute for each server of names that is away."""
    over = Event()

    def stuck(*_: object) -> list[str]:
        over.wait()
        return ["127.0.0.1"]

    reply = Post(private=private, resolve=stuck, limit_s=0.2).send(message("http://slow.example/"))
    over.set()
    assert reply.error == "no answer within 0.2 s"


def test_nothing_that_a_receiver_sent_is_quoted() -> None:
    def other(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 secret.internal ESMTP\r\n\r\n")

    with receiving(other) as receiver:
        assert Post(private=True).send(message(receiver.url)).error == "it does not speak HTTP"


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    """A name that means another host when it is asked for again is asked for once; the host hears the name."""
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.1"]

    with receiving() as receiver:
        reply = Post(private=True, resolve=rebinding).send(message(f"http://receiver.example:{receiver.port}/"))
    assert (reply.status, asked) == (204, [("receiver.example", receiver.port)])
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"


def test_a_redirect_is_no_way_in() -> None:
    with receiving() as inside, receiving(status(307, Location=inside.url)) as outside:
        reply = Post(private=True).send(message(outside.url))
    assert (reply.status, reply.is_taken, len(outside.received), inside.received) == (307, False, 1, [])


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect to what we never looked at. The environment is what is under test, so it is set."""
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert Post(private=True).send(message(receiver.url)).status == 204
    assert proxy.received == []


def test_a_receiver_that_drips_or_says_nothing_gets_no_more_time_than_there_is() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"x-more: " + b"x" * 200:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass

    with receiving(drip) as receiver:
        reply = Post(private=True, limit_s=0.3).send(message(receiver.url))
    assert (reply.status, reply.error) == (None, "no answer within 0.3 s")


def test_a_body_without_end_is_not_read() -> None:
    written: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                written.append(handler.wfile.write(b"x" * 1_000_000))
        except OSError:
            pass

    with receiving(endless) as receiver:
        assert Post(private=True).send(message(receiver.url)).is_taken
    # What the kernel holds for both ends.
    assert sum(written) < 50_000_000


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://no-such-host.invalid/"])
def test_what_cannot_be_reached_is_told(url: str) -> None:
    reply = Post(private=True).send(message(url))
    assert reply.status is None
    assert reply.error is not None
    assert reply.error.startswith("it cannot be reached: ")


def test_a_certificate_that_nobody_vouches_for_is_none() -> None:
    """Here it is no TLS at all, which is as little."""
    with receiving() as receiver:
        reply = Post(private=True).send(message(receiver.url.replace("http:", "https:")))
    assert reply.error is not None
    assert "SSL" in reply.error
    assert json.dumps(receiver.received) == "[]"
