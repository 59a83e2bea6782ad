"""The same function over many things, in processes of their own where more than one is asked for."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def over(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """In order. ``function`` is a module's own, so that another process finds it."""
    if processes == 1:
        return [function(item) for item in items]
    # Spawned: a forked child would share torch's thread pools with its parent.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, items))
