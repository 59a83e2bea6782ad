"""A program run as a child: logged, recorded on disk, ended in order, and not outliving its supervisor."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from local import identity
from local.privileges import Account

LAUNCH = Path(__file__).with_name("launch.py")
LOG_LIMIT_BYTES = 10 * 1024 * 1024
KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """All that is needed to start it, again and again."""

    name: str
    argv: tuple[str, ...]
    log: Path
    record: Path
    environment: Mapping[str, str] = field(repr=False)  # passwords are in it
    folder: Path | None = None
    account: Account | None = None
    typed: bytes = field(default=b"", repr=False)  # what it reads on standard input
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_timeout_s: float = 10.0


class Child:
    """One life of a program. Start it from a thread that stays: the kernel binds the child to that thread."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._asked = False
        self._process = _spawn(program)
        # Written down at once: what a killed supervisor leaves is ended by the next one, by id and mark.
        mark = identity.started(self._process.pid)
        program.record.write_text(json.dumps({"pid": self._process.pid, "started": mark}))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Once: many programs take a second request for an order to drop everything."""
        if self.running and not self._asked:
            self._process.send_signal(self.program.stop_signal)
        self._asked = True

    def stop(self) -> None:
        """Asks, waits, and at last kills the program with all it has started."""
        self.ask_to_stop()
        # What does not end in time is killed below with all that it started.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self.program.stop_timeout_s)
        self.kill()

    def kill(self) -> None:
        # Its own session, so its own group: a program's children go with it, even those it left behind.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(KILL_TIMEOUT_S)
        self.program.record.unlink(missing_ok=True)


def end_leftover(record: Path, stop_signal: signal.Signals) -> None:
    """Ends what an earlier supervisor started and could not end, if that very process still runs."""
    try:
        known = json.loads(record.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return
    pid, mark = known["pid"], known["started"]
    # The program alone is asked; its whole group is killed, as it leads a session of its own.
    for send, number in ((os.kill, stop_signal), (os.killpg, signal.SIGKILL)):
        # Asked again before each signal: the id may be another process's by now.
        if mark is None or identity.started(pid) != mark:
            break
        with suppress(ProcessLookupError):
            send(pid, number)
        _wait_for_end(pid, mark)
    record.unlink(missing_ok=True)


def _wait_for_end(pid: int, mark: str) -> None:
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while identity.started(pid) == mark and time.monotonic() < deadline:
        time.sleep(0.05)


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    if program.log.exists() and program.log.stat().st_size > LOG_LIMIT_BYTES:
        # Between two lives only: a running program holds the old file open.
        program.log.replace(program.log.with_suffix(".log.1"))
    account = ("-", "-") if program.account is None else (str(program.account.uid), str(program.account.gid))
    launch = (sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(program.death_signal)), *account)
    with program.log.open("ab") as log:
        process = subprocess.Popen(
            [*launch, *program.argv],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=program.folder,
            env=dict(program.environment),
            # A session of its own, so that Ctrl-C at the terminal reaches the supervisor alone.
            start_new_session=True,
        )
    assert process.stdin is not None  # a pipe was asked for
    with process.stdin as pipe, suppress(BrokenPipeError):  # it may have died already; its end is seen elsewhere
        pipe.write(program.typed)
    return process
