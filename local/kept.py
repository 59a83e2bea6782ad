"""A program that is kept alive: started again when it ends, a little later each time, and given up when hopeless."""

import signal
import sys
import time

from local.child import Child, Program
from local.errors import CannotStartError

SETTLED_S = 10.0
"""A program that lived this long had started; its end is an accident, not a fault in its settings."""
PAUSE_S = 0.25
QUICK_ENDS = 3


class Kept:
    """``tend`` often; it never waits."""

    def __init__(self, child: Child) -> None:
        self._child: Child | None = child
        self._program: Program = child.program
        self._started_at = time.monotonic()
        self._start_again_at = 0.0
        self._quick_ends = 0

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def tend(self) -> None:
        now = time.monotonic()
        if self._child is None:
            if now >= self._start_again_at:
                self._child, self._started_at = Child(self._program), now
        elif not self._child.running:
            self._bury(self._child, now)

    def ask_to_stop(self) -> None:
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def _bury(self, child: Child, now: float) -> None:
        code = child.exit_code
        child.kill()  # what it left behind of its own children
        self._child = None
        # Killed from outside says nothing about whether it can start.
        quick = code != -signal.SIGKILL and now - self._started_at < SETTLED_S
        self._quick_ends = self._quick_ends + 1 if quick else 0
        if self._quick_ends >= QUICK_ENDS:
            raise CannotStartError(self.name, f"it ended with code {code}, {QUICK_ENDS} times", self._program.log)
        pause = PAUSE_S * 2**self._quick_ends
        self._start_again_at = now + pause
        print(f"{self.name} ended with code {code}; starting it again in {pause:g} s", file=sys.stderr)
