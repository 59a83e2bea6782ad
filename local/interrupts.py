"""Ctrl-C and SIGTERM: the first one asks for an orderly end, the second ends at once, more change nothing."""

import signal
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedBySignal(BaseException):
    """A wish of the user and no error: what handles errors must not take it."""

    def __init__(self, number: int, *, again: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.again = again


class Interrupts:
    """While entered, signals raise InterruptedBySignal in the main thread, at most twice."""

    def __init__(self) -> None:
        self._asked = 0
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
        """The orderly end is under way: the next signal is the one that ends at once."""
        self._asked = max(self._asked, 1)

    def clearing_up(self) -> None:
        """What is left to do is short and must be done: signals are heard no more."""
        self._asked = 2

    def _hear(self, number: int, _: FrameType | None) -> None:
        self._asked += 1
        if self._asked <= 2:
            raise InterruptedBySignal(number, again=self._asked == 2)
