"""What stands between a training and who watches it: no error of the watcher reaches it, and its time is counted."""

import time
from collections.abc import Callable
from typing import Any


class Guard:
    """``failed`` is told the first error; from then on nothing is done."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self.seconds = 0.0
        """What all that it ran has taken."""
        self.closed = False
        self._failed = failed
        self._depth = 0

    def run(self, do: Callable[..., Any], *args: Any) -> Any:
        """What ``do`` returns; None where it failed."""
        if self.closed:
            return None
        began, self._depth = time.perf_counter(), self._depth + 1
        try:
            return do(*args)
        except Exception as error:  # noqa: BLE001 -- the edge: beyond it is somebody's training
            self.closed = True
            self._failed(error)
            return None
        finally:
            self._depth -= 1
            if not self._depth:  # what runs inside another is counted there
                self.seconds += time.perf_counter() - began


class Hook:
    """A hook that stays behind where its module is copied or pickled: the copy is not watched."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[..., Any] | None = None) -> None:
        self._do = do

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return None if self._do is None else self._do(*args, **kwargs)

    def __reduce__(self) -> tuple[type["Hook"], tuple[()]]:
        return Hook, ()
