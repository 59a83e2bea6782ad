"""How Redis is spoken to: no socket of ours waits for ever for a host that has gone, and every reply has a limit.

Redis carries hints, so a connection that is given up too soon costs a moment, never a run.
"""

import math
import socket
from typing import Any

from models.settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """Celery's ``broker_transport_options``, by the names of kombu and redis-py.

    Without ``retry_on_timeout``: a message that may have come through is not sent again in the same breath, as the
    dispatcher publishes what nobody claimed.
    """
    silence_s = max(1.0, settings.silence_s)
    return {
        # For replies that are waited for. A consumer's BRPOP is not: its answer comes by the event loop, within a
        # second from a server that lives, and where none comes the check below drops the connection.
        "socket_timeout": silence_s,
        "socket_connect_timeout": silence_s,
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive(silence_s),
        "health_check_interval": math.ceil(silence_s),
    }


def _keepalive(silence_s: float) -> dict[int, int]:
    """What this system knows of it. The limit for what was sent and not confirmed is no keepalive, but set alike."""
    probe_s = max(1, math.floor(silence_s / 3))
    wanted = {
        "TCP_KEEPIDLE": probe_s,
        "TCP_KEEPALIVE": probe_s,  # the name of the same on macOS
        "TCP_KEEPINTVL": probe_s,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": math.ceil(silence_s * 1000),
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
