"""The same function over many things, in processes of their own where more than one is asked for."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from local.launch import die_with

Item = TypeVar("Item")
Result = TypeVar("Result")


def over(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Result]:
    """In order, each as soon as it and those before it are there. ``function`` is a module's own: other
    processes have to find it.
    """
    if processes == 1:
        yield from map(function, items)
        return
    # Spawned: a forked child would share torch's thread pools with its parent.
    # Idle processes of a pool do not notice that a parent was killed, and would stay for good.
    bound = (os.getpid(), signal.SIGKILL)
    with ProcessPoolExecutor(processes, get_context("spawn"), die_with, bound) as pool:
        yield from pool.map(function, items)
