"""Ctrl-C and SIGTERM: the first one asks for an orderly end, the second ends at once."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignal(BaseException):
    """A wish of the user and no error: what handles errors must not take it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """While entered, the first signal raises InterruptedBySignal in the main thread; ``at_once`` serves the second."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self._at_once = at_once
        self._asked = False
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number, before in self._before.items():
            if number != signal.SIGHUP or before != signal.SIG_IGN:  # nohup asks not to hear of the terminal's end
                signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def ending(self) -> None:
        """From here on the orderly end is under way: one more signal ends at once."""
        self._asked = True

    def _hear(self, number: int, _: FrameType | None) -> None:
        if not self._asked:
            self._asked = True
            raise InterruptedBySignal(number)
        try:
            self._at_once()
        finally:
            os._exit(128 + number)
