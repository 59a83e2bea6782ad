"""The same function over many things, in processes of their own where more than one is asked for."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from local.launch import die_with

Item = TypeVar("Item")
Result = TypeVar("Result")


def over(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """In order. ``function`` is a module's own, so that another process finds it."""
    if processes == 1:
        return [function(item) for item in items]
    # Spawned: a forked child would share torch's thread pools with its parent.
    bound = (os.getpid(), signal.SIGKILL)
    with ProcessPoolExecutor(processes, get_context("spawn"), die_with, bound) as pool:
        return list(pool.map(function, items))
