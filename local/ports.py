"""TCP ports on this machine: which are free, and a free one."""

import socket


def is_free(host: str, port: int) -> bool:
    """Whether a listener could be opened now. Another program may still be faster."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what a server's own listener does
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # The kernel chooses; until the server listens another program may take it, and ``start`` then tries the next.
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port
