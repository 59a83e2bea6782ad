"""Signals to processes that this program's clinic has started, and to no others: each is looked up among its own."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from local import identity


def children(parent: int) -> list[int]:
    """The processes that ``parent`` has started."""
    return _pids(parent, recursive=False)


def descendants(parent: int) -> list[int]:
    """Its children, their children, …"""
    return _pids(parent, recursive=True)


def _pids(parent: int, *, recursive: bool) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(parent).children(recursive=recursive)]
    except psutil.NoSuchProcess:
        return []


@dataclass(frozen=True, slots=True)
class _Asleep:
    pid: int
    started: str
    wakes_at: float


@dataclass(slots=True)
class Sleepers:
    """Stopped processes that are woken later: such a zombie thinks that it still owns its run."""

    _asleep: list[_Asleep] = field(default_factory=list)

    def stop(self, pid: int, for_s: float) -> bool:
        """Whether it was there to be stopped."""
        # Taken before the signal: taken after, it could be the mark of a later process under the same id.
        mark = identity.started(pid)
        if mark is None or not send(pid, signal.SIGSTOP):
            return False
        self._asleep.append(_Asleep(pid, mark, time.monotonic() + for_s))
        return True

    def wake(self, *, all_of_them: bool = False) -> None:
        """Those whose time has come. One that was killed in its sleep needs no waking."""
        now = time.monotonic()
        due = [sleeper for sleeper in self._asleep if all_of_them or sleeper.wakes_at <= now]
        for sleeper in due:
            # The id may be another process's by now.
            if identity.started(sleeper.pid) == sleeper.started:
                send(sleeper.pid, signal.SIGCONT)
            self._asleep.remove(sleeper)

    def holds(self, pid: int) -> bool:
        return any(sleeper.pid == pid for sleeper in self._asleep)


@dataclass(slots=True)
class Later:
    """Calls that are made when their time has come. One that returns False was not possible yet, and is made again."""

    _due: list[tuple[float, Callable[[], bool]]] = field(default_factory=list)

    def after(self, for_s: float, do: Callable[[], bool]) -> None:
        self._due.append((time.monotonic() + for_s, do))

    def tend(self, *, all_of_them: bool = False) -> bool:
        """Whether no call waits any more."""
        now = time.monotonic()
        for call in [call for call in self._due if all_of_them or call[0] <= now]:
            # Before it is made, as it may ask for itself to be made again.
            self._due.remove(call)
            if not call[1]():
                self.after(0.5, call[1])
        return not self._due


def send(pid: int, number: signal.Signals) -> bool:
    """Whether it was alive to be hit. A process that has died and was not waited for yet would take any signal."""
    if identity.started(pid) is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
