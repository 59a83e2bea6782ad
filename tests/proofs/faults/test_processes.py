"""The hands of the proof: real processes are stopped and woken, found below their parent, and put an hour ahead."""

import json
import os
import signal
import sys

from local import identity
from proofs.faults.processes import Later, Sleepers, children, descendants, send
from tests.eventually import HANGS_S
from tests.processes import PIPE, process, run

PAUSE = "import time; print(flush=True); time.sleep(600)"


def state_of(pid: int) -> str:
    """As the kernel names it: T is stopped."""
    return run("/bin/ps", "-o", "state=", "-p", str(pid)).stdout.strip()[0]


def test_a_sleeper_is_stopped_until_it_is_woken() -> None:
    with process(sys.executable, "-c", PAUSE, stdout=PIPE) as asleep:
        assert asleep.stdout is not None
        asleep.stdout.readline()
        sleepers = Sleepers()
        assert sleepers.stop(asleep.pid, for_s=HANGS_S)
        assert sleepers.holds(asleep.pid)
        sleepers.wake()
        assert state_of(asleep.pid) == "T"
        sleepers.wake(all_of_them=True)
        assert state_of(asleep.pid) != "T"
        asleep.kill()
    assert identity.started(asleep.pid) is None
    assert not Sleepers().stop(asleep.pid, for_s=HANGS_S)


def test_the_dead_take_no_signal() -> None:
    with process(sys.executable, "-c", PAUSE, stdout=PIPE) as asleep:
        assert asleep.stdout is not None
        assert send(asleep.pid, signal.SIGKILL)
        os.waitid(os.P_PID, asleep.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has buried it
        assert not send(asleep.pid, signal.SIGKILL)


def test_descendants_are_children_and_theirs() -> None:
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PAUSE!r}])"
    with process(sys.executable, "-c", inner, stdout=PIPE) as outer:
        assert outer.stdout is not None
        outer.stdout.readline()
        below = descendants(outer.pid)
        assert below == children(outer.pid)
        assert set(descendants(os.getpid())) >= {outer.pid, *below}


def test_what_is_due_later_is_tried_until_it_is_done() -> None:
    later, tries = Later(), iter([False, True])
    later.after(0.0, lambda: next(tries))
    assert not later.tend()
    assert later.tend(all_of_them=True)
    later.after(60.0, lambda: True)
    assert not later.tend()


def test_a_wrong_clock_is_an_hour_ahead_and_its_pauses_are_not() -> None:
    code = (
        "import datetime as dt, json, time\n"
        "before, steady = time.time(), time.monotonic()\n"
        "import proofs.faults.clock_skew; proofs.faults.clock_skew.shift(3600)\n"
        "clocks = [time.time(), time.time_ns() / 1e9]\n"
        "clocks += [dt.datetime.now().timestamp(), dt.datetime.now(dt.UTC).timestamp()]\n"
        "print(json.dumps([round((clock - before) / 60) for clock in clocks] + [round(time.monotonic() - steady)]))"
    )
    done = run(sys.executable, "-c", code)
    assert json.loads(done.stdout) == [60, 60, 60, 60, 0]
