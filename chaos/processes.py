"""Signals to processes that this program's clinic has started, and to no others: each is looked up among its own."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

from local import identity


def children(parent: int) -> list[int]:
    """The processes that ``parent`` has started."""
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [(int(pid), int(above)) for pid, above in (line.split() for line in listing.splitlines())]
    return [pid for pid, above in pairs if above == parent]


@dataclass(frozen=True, slots=True)
class _Asleep:
    pid: int
    started: str
    wakes_at: float


@dataclass(slots=True)
class Sleepers:
    """Processes that were stopped, to be woken later: zombies that think they are still the owner of their run."""

    _asleep: list[_Asleep] = field(default_factory=list)

    def stop(self, pid: int, for_s: float) -> None:
        mark = identity.started(pid)
        if mark is not None and send(pid, signal.SIGSTOP):
            self._asleep.append(_Asleep(pid, mark, time.monotonic() + for_s))

    def wake(self, *, all_of_them: bool = False) -> None:
        """Those whose time has come. One that was killed in its sleep needs no waking."""
        now = time.monotonic()
        due = [one for one in self._asleep if all_of_them or one.wakes_at <= now]
        for one in due:
            if identity.started(one.pid) == one.started:
                send(one.pid, signal.SIGCONT)
            self._asleep.remove(one)

    def holds(self, pid: int) -> bool:
        return any(one.pid == pid for one in self._asleep)


def send(pid: int, number: signal.Signals) -> bool:
    """Whether it was there to be hit."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
