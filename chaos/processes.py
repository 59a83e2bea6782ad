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
    """Processes that were stopped, to be woken later: zombies that think they are still the owner of their run."""

    _asleep: list[_Asleep] = field(default_factory=list)

    def stop(self, pid: int, for_s: float) -> bool:
        """Whether it was there to be stopped."""
        mark = identity.started(pid)
        if mark is None or not send(pid, signal.SIGSTOP):
            return False
        self._asleep.append(_Asleep(pid, mark, time.monotonic() + for_s))
        return True

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


@dataclass(slots=True)
class Later:
    """What is to be done when its time has come. ``False`` from it: not possible just now, so once more soon."""

    _due: list[tuple[float, Callable[[], bool]]] = field(default_factory=list)

    def after(self, for_s: float, do: Callable[[], bool]) -> None:
        self._due.append((time.monotonic() + for_s, do))

    def tend(self, *, all_of_them: bool = False) -> bool:
        """Whether nothing is left that waits."""
        now = time.monotonic()
        for one in [one for one in self._due if all_of_them or one[0] <= now]:
            self._due.remove(one)
            if not one[1]():
                self.after(0.5, one[1])
        return not self._due


def send(pid: int, number: signal.Signals) -> bool:
    """Whether it was alive to be hit. What has died and is not buried yet would take any signal."""
    if identity.started(pid) is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
