"""Tests that fail amid what they have started, or do not end: ``test_limits.py`` runs each in a pytest of its own.

Each writes down which processes there are below it, once they are there.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.child import Child, Program
from tests.processes import PIPE, Process, process

FAMILY = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if len(sys.argv) < 3:
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1], "child"], start_new_session=True)
else:
    print(flush=True)
time.sleep(600)
"""


def write_down() -> None:
    below = psutil.Process().children(recursive=True)
    note = Path(os.environ["TESTS_NOTE"])  # noqa: TID251 -- where the outer test looks
    beside = note.with_suffix(".new")
    beside.write_text("".join(f"{one.pid} {one.create_time()}\n" for one in below))
    beside.rename(note)


def wait_for_ever() -> None:
    threading.Event().wait()


@pytest.fixture
def family() -> Iterator[Process]:
    """A process that hears no request to end, and a child of it in another session."""
    with process(sys.executable, "-c", FAMILY, FAMILY, stdout=PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        write_down()
        yield parent


@pytest.fixture
def unending() -> Iterator[None]:
    yield
    wait_for_ever()


def test_fails(family: Process) -> None:
    assert family.poll() is not None


def test_waits(family: Process) -> None:
    family.wait()


@pytest.mark.usefixtures("family")
def test_fails_and_its_teardown_waits(unending: None) -> None:
    raise AssertionError(unending)


@pytest.mark.usefixtures("family")
def test_hears_no_signal() -> None:
    """The call keeps the interpreter's lock: neither a handler of a signal nor another thread gets its turn."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # it would cut the sleep short
    ctypes.PyDLL(None).sleep(600)


@pytest.mark.usefixtures("family")
def test_leaves_a_thread() -> None:
    threading.Thread(target=wait_for_ever).start()


def test_leaves_what_it_would_have_ended(tmp_path: Path) -> None:
    """Without its environment, as a server of another user's."""
    argv = (sys.executable, "-c", FAMILY, FAMILY)
    Child(Program("family", argv, log=tmp_path / "log", record=tmp_path / "record", environment={}))
    while not (tmp_path / "log").read_text():
        pass
    write_down()
    raise AssertionError


@pytest.mark.usefixtures("clinic")
def test_waits_beside_a_clinic() -> None:
    write_down()
    wait_for_ever()
