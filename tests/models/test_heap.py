"""What the C library keeps of freed memory, in a process of its own: the setting is the process's."""

import sys

import pytest

from models import heap
from tests.processes import run

STEPS = """
import resource, sys
import numpy as np
from models import heap

def step():
    return [np.ones(250_000) for _ in range(40)]  # 80 MB, freed as the next step begins

if sys.argv[1] == "kept":
    heap.for_training()
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
heap.give_back()
"""


@pytest.mark.skipif(heap._glibc() is None, reason="another C library keeps memory by rules of its own")  # noqa: SLF001
def test_a_step_of_training_takes_the_pages_that_the_last_one_has_freed() -> None:
    def faults(how: str) -> int:
        return int(run(sys.executable, "-c", STEPS, how).stdout)

    # A page holds 512 numbers: a step's are 20,000 pages, all of which the kernel would clear again.
    assert faults("kept") < 2_000
    assert faults("not kept") > 50_000
