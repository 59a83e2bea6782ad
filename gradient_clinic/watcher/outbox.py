"""What a watch sends to a service: a thread of its own, a bounded queue before it, a bounded file where it is away.

Calls go in order, and each may be sent again: the service passes over what it has. Nothing in here waits for the
service but the thread, and ``close`` for as long as it is told to.
"""

import base64
import os
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final

import numpy as np

from gradient_clinic.values import Array
from gradient_clinic.watcher.calls import ENDS, TIMEOUT_S, AwayError, Body, Call, RefusedError, Service, plain_line
from gradient_clinic.watcher.pace import Pace
from gradient_clinic.watcher.spool import Spool

MOST_BYTES: Final = 1 << 20
"""Of signals in a message."""
MOST_RECORDS: Final = 200
QUEUE_BYTES: Final = 64 << 20
"""Of records that wait for the thread."""
BACKOFF_S: Final = (0.2, 15.0)
"""Between two tries where the service is away: the first pause, which doubles, and the longest."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Line:
    """One record: (signals, layers) and (curves,)."""

    step: int
    signals: Array
    curves: Array

    @property
    def bytes(self) -> int:
        return 4 * self.signals.size + 8 * self.curves.size


class Outbox:
    """``say`` is told what ends it, once. ``opened`` is what the service calls the run, once it has answered."""

    def __init__(self, service: Service, spool: Spool, opening: Call, first: Body, say: Say) -> None:
        """``first``: what goes with the first records."""
        self._service, self._spool, self._say, self._with_first = service, spool, say, first
        self.cut: str | None = None
        """Why later records are not sent."""
        self.over = False
        self.pace = Pace()
        self._opening = opening
        self._token = opening.body["token"]
        self._lines: queue.Queue[Line | None] = queue.Queue()
        self._put_bytes = self._taken_bytes = 0  # each written by one thread alone
        self._sent, self._newest_step = 0, 0
        self._ending: Call | None = None
        self._deadline: float | None = None
        self._retry_at, self._pause = 0.0, BACKOFF_S[0]
        self._pid = os.getpid()
        self._thread = Thread(target=self._live, name="gradient-clinic", daemon=True)
        self._thread.start()

    @property
    def opened(self) -> Mapping[str, Any]:
        return self._service.opened

    def add(self, line: Line) -> None:
        """Never waits."""
        if self.cut is None and self._put_bytes - self._taken_bytes + line.bytes > QUEUE_BYTES:
            self._cut_at(line.step, "more records wait than it can send")
        if self.cut is None:
            self._put_bytes += line.bytes
            self._lines.put(line)

    def close(self, ending: Body, wait_s: float, *, join: bool) -> None:
        """Send what is left, for so long at most; then it stays in the spool's file. ``join``: wait so long."""
        if self._pid != os.getpid() or self._ending is not None:
            return
        self._ending = Call(ENDS, ending)
        self._deadline = time.monotonic() + wait_s
        self._lines.put(None)
        if join:
            self._thread.join(wait_s + 2.0 * TIMEOUT_S)

    # --- the thread -----------------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._go_through()
        except RefusedError as error:
            self._end(f"the service takes no more of this run: {error}")
            self._spool.remove()
        except Exception as error:  # noqa: BLE001 -- the thread's edge: beyond it is somebody's training
            self._end(f"sending has ended by an error of its own: {error!r}")
        finally:
            self.over = True
            self._spool.close()
            self._service.close()

    def _end(self, why: str) -> None:
        self.cut = self.cut or why
        self._say(f"{why}; training goes on")

    def _go_through(self) -> None:
        self._pass_on(self._opening)
        ending = False
        while not ending:
            lines, ending = self._gather()
            if lines:
                self._pass_on(self._records(lines))
            elif len(self._spool):
                self._replay()
        self._finish()

    def _gather(self) -> tuple[list[Line], bool]:
        """The records of a second or of some, or as many as a message holds. Whether they are the last."""
        lines: list[Line] = []
        until, size = time.monotonic() + self.pace.next_s(), 0
        while size < MOST_BYTES and len(lines) < MOST_RECORDS:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if line is None:
                return lines, True
            self._taken_bytes += line.bytes
            size += line.bytes
            lines.append(line)
        return lines, False

    def _records(self, lines: list[Line]) -> Call:
        signals = np.stack([line.signals for line in lines], axis=-1).astype("<f4")
        curves = np.stack([line.curves for line in lines], axis=-1).astype("<f8")
        body = {
            name: base64.b64encode(its.tobytes()).decode() for name, its in (("signals", signals), ("curves", curves))
        }
        call = Call(self._sent, {"token": self._token, **body, **self._with_first})
        self._sent, self._with_first = self._sent + len(lines), {}
        self._newest_step = lines[0].step
        return call

    def _pass_on(self, call: Call) -> None:
        """To the service, or behind what waits for it."""
        if self.cut is not None and call.first != ENDS:
            return
        if self._replay() and self._try(call):
            return
        try:
            self._spool.add(call)
        except OSError as error:
            self._cut_at(self._newest_step, f"the spool {self._spool.path} is full: {error}")

    def _replay(self) -> bool:
        """Whether nothing waits any more."""
        while len(self._spool):
            if time.monotonic() < self._retry_at:
                return False
            line = self._spool.first()
            if not self._try(Call.of(line)):
                return False
            self._spool.drop(line)
        return True

    def _try(self, call: Call) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        began = time.monotonic()
        try:
            self._service.send(call)
        except AwayError:
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2.0 * self._pause, BACKOFF_S[1])
            return False
        self._pause = BACKOFF_S[0]
        if call.first not in {None, ENDS}:
            self.pace.took(time.monotonic() - began)
        return True

    def _cut_at(self, step: int, why: str) -> None:
        self._end(f"nothing from step {step} on is sent to the service: {why}")

    def _finish(self) -> None:
        assert self._ending is not None  # as ``close`` has said
        assert self._deadline is not None  # likewise
        if self.cut is not None:
            self._ending = Call(ENDS, {**self._ending.body, "error": plain_line(self.cut)})
        self._retry_at = 0.0
        while not (self._replay() and self._try(self._ending)):
            self._pause = BACKOFF_S[0]  # who waits for it does not wait long
            if time.monotonic() >= self._deadline:
                self._spool.add(self._ending, beyond=len(self._ending.line()) * 2)
                self._say(f"the service is away: what it has not got is in {self._spool.path} (gc.send_spool)")
                return
            time.sleep(min(0.1, max(0.0, self._retry_at - time.monotonic())))
