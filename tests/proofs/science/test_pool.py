"""Processes side by side: none of them outlives the one that asked, not even if that is killed."""

import sys

import psutil

from tests.eventually import eventually
from tests.processes import process

ASKS = "import time; from proofs.pool import over; list(over(time.sleep, [600.0, 600.0], 2))"


def test_a_pool_dies_with_the_process_that_asked() -> None:
    with process(sys.executable, "-c", ASKS) as asking:
        parent = psutil.Process(asking.pid)
        # Two that sleep, and multiprocessing's own tracker.
        assert eventually(lambda: len(parent.children(recursive=True)) == 3)
        below = parent.children(recursive=True)
        asking.kill()
        assert psutil.wait_procs(below, timeout=60)[1] == []
