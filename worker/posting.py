"""Sends one signed message over HTTP: to a public address, in a limited time, without following anywhere.

A webhook's address is written by a client, and this process sees networks that the client does not. So what decides is
the address that is connected to. The name is looked up once, what comes out is looked at, and that is connected to: a
name that means another host a moment later is of no use. Redirects are not followed, proxies of the environment not
used, and no byte of an answer's body is read.
"""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Thread
from typing import Any

import certifi
import httpcore
from standardwebhooks import Webhook

from models.runs.webhooks import Message, Reply

LIMIT_S = 10.0
"""For all of it: name, connection, request and the head of the answer."""
_MOST_SAID = 200
_UNREACHABLE = (
    httpcore.NetworkError,
    httpcore.UnsupportedProtocol,
    OSError,
    UnicodeError,
)
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
"""Of all that IPv6 has for single hosts, what hosts of the internet are given (RFC 4291, IANA). Outside are site-local
addresses, segments of routes (5f00::/16), and IPv4 written as ::a.b.c.d, ::ffff:0:a.b.c.d or 64:ff9b::a.b.c.d.
"""
_OTHERS = tuple(map(ipaddress.ip_network, ("2001::/32", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")))
"""Teredo and 6to4, which lead to an IPv4 address inside; documentation; for protocols; relays of 6to4."""
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Before an IPv4 address as the last bits, in any network: a tunnel to that (RFC 5214)."""

Resolve = Callable[[str, int], list[str]]


class NotPublicError(Exception):
    """The name means nothing, or an address that no webhook may reach. Nobody is told which: it says what is inside."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver. OSError where it has none."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Whether anybody in the internet would reach the same host there."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip not in _GIVEN_OUT or int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _OTHERS)


def body_of(message: Message) -> bytes:
    """The same for each attempt, as it is signed. ``type``, ``timestamp`` and ``data``, as Standard Webhooks has it."""
    told = {"type": message.event, "timestamp": message.created_at.astimezone(UTC).isoformat(), "data": message.data}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Post:
    """``send`` says how it went, whatever that was. ``private``: addresses that are not public may be reached too."""

    private: bool = False
    resolve: Resolve = resolve
    limit_s: float = LIMIT_S

    def send(self, message: Message) -> Reply:
        try:
            return Reply(self._status(message))
        except NotPublicError:
            return Reply(None, "the name of its host means no public address")
        except (httpcore.TimeoutException, TimeoutError):
            return Reply(None, f"no answer within {self.limit_s:g} s")
        except httpcore.ProtocolError:
            # The library quotes what came, and whoever reads the answer may not be whom the receiver meant it for.
            return Reply(None, "it does not speak HTTP")
        except _UNREACHABLE as error:
            return Reply(None, f"it cannot be reached: {str(error)[:_MOST_SAID] or type(error).__name__}")

    def _status(self, message: Message) -> int:
        body, now = body_of(message), datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": "gradient-clinic",
            "connection": "close",
            "webhook-id": str(message.id),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(message.secret).sign(str(message.id), now, body.decode()),
        }
        url = httpcore.URL(message.url)
        sent = [("host", _host_of(url)), *headers.items()]
        network = _Network(self.private, self.resolve, time.monotonic() + self.limit_s)
        # A connection for each message: the next one looks its name up again.
        with httpcore.ConnectionPool(ssl_context=_trusting(), network_backend=network) as pool:
            timeout = dict.fromkeys(("connect", "read", "write", "pool"), self.limit_s)
            with pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": timeout}) as answer:
                return int(answer.status)


@cache  # read once: reading all certificates takes longer than a message
def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _host_of(url: httpcore.URL) -> str:
    host = url.host.decode()
    shown = f"[{host}]" if ":" in host else host
    return shown if url.port is None else f"{shown}:{url.port}"


@dataclass(slots=True)
class _Network(httpcore.NetworkBackend):
    """Connections to what a name means now, if that may be reached, until a moment."""

    private: bool
    resolve: Resolve
    until: float

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._allowed(host, port)
        left = _left(self.until, timeout)
        stream = httpcore.SyncBackend().connect_tcp(addresses[0], port, left, local_address, socket_options)
        return _Stream(stream, self.until)

    def _allowed(self, host: str, port: int) -> list[str]:
        if self.private:
            return self._found(host, port)
        try:
            addresses = self._found(host, port)
        except (OSError, UnicodeError) as error:
            raise NotPublicError from error
        # One that is not public beside others that are is no answer that an honest name has.
        if not all(map(is_public, addresses)):
            raise NotPublicError
        return addresses

    def _found(self, host: str, port: int) -> list[str]:
        """What the name means, in what is left of the time. A resolver cannot be ended: its thread is left to the
        limits that the system gives it.
        """
        found: Future[list[str]] = Future()

        def look() -> None:
            try:
                found.set_result(self.resolve(host, port))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised where it is waited for
                found.set_exception(error)

        Thread(target=look, name="resolver", daemon=True).start()
        wait((found,), _left(self.until, None))
        if not found.done():
            raise httpcore.ConnectTimeout
        return found.result()


@dataclass(slots=True)
class _Stream(httpcore.NetworkStream):
    """Each read and write is given what is left: a receiver that sends a byte at a time gets no more."""

    inner: httpcore.NetworkStream
    until: float

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _left(self.until, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _left(self.until, timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, _left(self.until, timeout)), self.until)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


def _left(until: float, timeout: float | None) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(left, timeout)
