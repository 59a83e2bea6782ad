"""How each process of the clinic is started, said once: the supervisor and the containers run the same commands."""

import signal
from dataclasses import dataclass

MIGRATE = ("-m", "alembic", "upgrade", "head")


@dataclass(frozen=True, slots=True)
class Command:
    """What follows the Python interpreter, and how the process is asked to end."""

    name: str
    arguments: tuple[str, ...]
    # What the kernel sends when the supervisor is killed: workers hand their run back, the others hold nothing.
    death_signal: signal.Signals
    stop_timeout_s: float


# In the order of starting.
COMMANDS = (
    Command("api", ("-m", "api"), signal.SIGKILL, stop_timeout_s=10.0),
    Command("dispatcher", ("-m", "worker.dispatcher"), signal.SIGKILL, stop_timeout_s=10.0),
    Command("worker", ("-m", "worker"), signal.SIGTERM, stop_timeout_s=30.0),
)
