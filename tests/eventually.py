"""Waiting for what happens elsewhere: as long as it takes, and at most as long as nobody would wait."""

import time
from collections.abc import Callable

HANGS_S = 120.0
"""On a machine with nothing else to do it is a moment; a machine with much to do is no fault."""
LOOK_S = 0.01


def eventually(holds: Callable[[], bool], within_s: float = HANGS_S) -> bool:
    """Whether it comes to hold; returns as soon as it does."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return holds()
        time.sleep(LOOK_S)
    return True


def stays(holds: Callable[[], bool], for_s: float) -> bool:
    """Whether it goes on to hold, looked at again and again; for what must not happen."""
    return not eventually(lambda: not holds(), for_s)
