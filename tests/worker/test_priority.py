"""What trains steps back behind what answers: within its session, and where its worker has begun that as a whole."""

import os
import sys
from pathlib import Path

import pytest

from tests.processes import run

GROUP = Path("/proc/self/autogroup")

# As the worker's parent forks the process that trains; in a terminal it has been forked by a shell itself.
FORKED = """
import os, sys
from worker.priority import step_back
def group():
    try:
        return open("/proc/self/autogroup").read().split()[-1]
    except OSError:
        return "none"
niceness, forks = map(int, sys.argv[1:])
before = group()
for _ in range(forks):
    if os.fork():
        os.wait()
        os._exit(0)
step_back(niceness)
print(os.nice(0), group(), before)
"""


def stepped_back(niceness: int, forks: int = 1) -> tuple[int, str, str]:
    """What the process is after it, and its session after it and before."""
    nice, after, before = run(sys.executable, "-c", FORKED, str(niceness), str(forks)).stdout.split()
    return int(nice), after, before


@pytest.mark.parametrize("niceness", [0, 7])
def test_it_is_as_nice_as_it_is_asked_to_be(niceness: int) -> None:
    assert stepped_back(niceness)[0] == min(os.nice(0) + niceness, 19)


@pytest.mark.skipif(not os.access(GROUP, os.R_OK), reason="processors are not shared by sessions here")
def test_so_is_the_session_that_its_worker_has_begun() -> None:
    assert stepped_back(7)[1:] == ("7", "0")


@pytest.mark.skipif(not os.access(GROUP, os.R_OK), reason="processors are not shared by sessions here")
def test_a_session_that_somebody_else_has_begun_stays_as_it_is() -> None:
    _, after, before = stepped_back(7, forks=2)
    assert after == before
