"""A client that sends a body without end, chunk by chunk."""

import contextlib
import socket

CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
"""64 KiB of spaces, as HTTP's chunked coding has them."""


def pour(connection: socket.socket) -> int:
    """How many bytes went out before the server closed its side, as it should; at most a thousand chunks."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 1_000 * len(CHUNK):
            connection.sendall(CHUNK)
            sent += len(CHUNK)
    return sent
