"""Stands beside a process of tests and outlives it: ends it where a limit has passed, and then all that it started.

A process of its own, so that neither a thread that hangs, nor C code that does not return, nor SIGKILL is in its way:
``watcher.py MARK``. On standard input it reads the seconds until the next limit, one number a line; the end of the
input is the end of the process. What that has started carries ``MARK`` in its environment, whoever its parent is now.
"""

import math
import os
import select
import signal
import sys
import time
from contextlib import suppress

import psutil

MARKS = "TESTS_OF_GRADIENT_CLINIC"
"""The variable: marks of everybody whose end is this process's end, with colons between them."""
DEATH_S = 10.0


def carriers(mark: str) -> list[psutil.Process]:
    """Living processes that carry ``mark``; not the one that asks."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _carries(one, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error):
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and mark in process.environ().get(MARKS, "").split(":")
    return False


def end_carriers(mark: str) -> None:
    """Kills them and what they start meanwhile. Raises TimeoutError where the kernel does not end one."""
    deadline = time.monotonic() + DEATH_S
    while left := carriers(mark):
        if time.monotonic() > deadline:
            raise TimeoutError(str(left))
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def main() -> None:
    mark = sys.argv[1]
    # What is pressed at the terminal is for the tests: they end, and with them the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tests = psutil.Process(os.getppid())
    if not _ends_within_limits():
        sys.stderr.write(f"\nprocess {tests.pid} of the tests has passed its limit and is ended; where it stands:\n")
        sys.stderr.flush()
        # To the first, pytest's faulthandler writes the traceback of every thread.
        for number in (signal.SIGABRT, signal.SIGKILL):
            with suppress(psutil.Error):
                tests.send_signal(number)
            if _ends_within(DEATH_S):
                break
    end_carriers(mark)


def _ends_within_limits() -> bool:
    """Whether the input ends before the newest limit."""
    left_s = math.inf
    while select.select([sys.stdin], [], [], None if left_s == math.inf else left_s)[0]:
        limits = os.read(sys.stdin.fileno(), 4096).split()
        if not limits:
            return True
        left_s = float(limits[-1])
    return False


def _ends_within(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    main()
