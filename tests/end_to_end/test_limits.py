"""Nothing of a test lives on, be it that it fails, waits for ever, or is killed: seen in a pytest of its own."""

import os
import re
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.processes import PIPE, Process, process

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]
UNENDING = Path(__file__).with_name("unending.py")
ENDINGS = {
    "test_fails": "1 failed",
    "test_waits": "1 failed",
    "test_fails_and_its_teardown_waits": "has passed its limit",
    "test_leaves_a_thread": "1 passed",
    "test_leaves_what_it_would_have_ended": "1 failed",
    # In a worker of xdist: it is replaced, and the tests go on.
    "test_hears_no_signal": r"(?s)crashed while running .*test_hears_no_signal.*2 failed",
}


class Inner:
    """A pytest that runs tests of ``unending.py``; ``note`` is where they write down what there is below them."""

    def __init__(self, note: Path, *arguments: str, timeout_s: float) -> None:
        self.note = note
        options = ("-p", "no:cacheprovider", "--timeout", str(timeout_s))
        self.argv = (sys.executable, "-m", "pytest", *options, *arguments)
        self.environment = os.environ | {"TESTS_NOTE": str(note), "TESTS_GRACE_S": "4"}  # noqa: TID251 -- for a process

    def start(self, stack: ExitStack) -> Process:
        return stack.enter_context(process(*self.argv, environment=self.environment, stdout=PIPE, stderr=PIPE))

    def family(self) -> set[tuple[int, str]]:
        """Process and time of its start."""
        return {(int(pid), time) for pid, time in (line.split() for line in self.note.read_text().splitlines())}

    def nothing_lives(self) -> bool:
        return self.family().isdisjoint(
            (one.pid, str(one.create_time())) for one in psutil.process_iter() if lives(one)
        )


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def inner_of(name: str, folder: Path) -> Inner:
    alone = name != "test_hears_no_signal"
    arguments = ("-p", "no:xdist") if alone else ("-n", "1", f"{UNENDING}::test_fails")
    return Inner(folder / name, *arguments, f"{UNENDING}::{name}", timeout_s=12)


@pytest.mark.long
def test_a_test_that_does_not_end_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    """Side by side, as they mostly wait."""
    inners = {name: inner_of(name, tmp_path) for name in ENDINGS}
    with ExitStack() as stack:
        running = {name: inner.start(stack) for name, inner in inners.items()}
        for name, says in ENDINGS.items():
            out, err = running[name].communicate()
            assert re.search(says, out + err), out + err
            assert len(inners[name].family()) >= 2
            assert eventually(inners[name].nothing_lives)


@pytest.mark.parametrize(
    ("name", "processes", "option"),
    [
        # Servers, API, dispatcher, a worker, its two slots and its warden.
        pytest.param("test_waits_beside_a_clinic", 8, "-n1", marks=pytest.mark.long),
        ("test_waits", 2, "-n0"),  # they hear no request to end, and the kernel binds only one of them
    ],
)
def test_what_they_started_dies_with_tests_that_are_killed(
    tmp_path: Path, name: str, processes: int, option: str
) -> None:
    inner = Inner(tmp_path / "note", option, f"{UNENDING}::{name}", timeout_s=300)
    with ExitStack() as stack:
        tests = inner.start(stack)
        assert eventually(inner.note.exists, 200)
        assert len(inner.family()) >= processes
        tests.send_signal(signal.SIGKILL)
        assert eventually(inner.nothing_lives)
