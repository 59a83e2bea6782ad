"""Dependencies that wait for nothing are made where they are asked for."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


def at_once(kind: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    """``kind``, with its parameters, as a coroutine: FastAPI would make a class in a thread of its own."""

    async def made(**parameters: Any) -> T:
        return kind(**parameters)

    made.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]  # where FastAPI reads what to hand in
    return made
