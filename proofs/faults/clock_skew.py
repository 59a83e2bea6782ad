"""A worker with a skewed wall clock: ``python -m proofs.faults.clock_skew 3600`` is ``python -m worker`` an hour ahead.

Python's own clocks are shifted before anything else is loaded: ``time.time``, ``time.time_ns``, and now and today of
``datetime`` and ``date``. Not shifted are monotonic clocks (a real skew leaves them right as well), ``time.localtime``
and ``time.strftime`` without an argument, times of files, and what compiled libraries ask the kernel themselves. The
kernel's time namespaces would not do: they shift monotonic clocks only.
"""

import ctypes
import datetime as dt
import gc
import sys
import time
from typing import Any

_TIME, _TIME_NS = time.time, time.time_ns


def shift(by_s: int) -> None:
    """From now on this process, and what it forks, is ``by_s`` seconds ahead."""
    time.time = lambda: _TIME() + by_s
    time.time_ns = lambda: _TIME_NS() + by_s * 1_000_000_000
    now = classmethod(lambda cls, tz=None: cls.fromtimestamp(time.time(), tz))
    utcnow = classmethod(lambda cls: cls.now(dt.UTC).replace(tzinfo=None))
    today = classmethod(lambda cls: cls.fromtimestamp(time.time()))
    _replace(dt.datetime, now=now, utcnow=utcnow, today=today)
    _replace(dt.date, today=today)


def _replace(kind: type, **methods: Any) -> None:
    """In the class itself: another class would not have the memory layout that compiled libraries count on."""
    # ``__dict__`` of a class is a read-only view; the collector knows the dictionary behind it.
    attributes: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
    attributes.update(methods)
    # Or lookups would still find the methods that the interpreter has cached.
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def main() -> None:
    shift(int(sys.argv.pop(1)))
    from worker.__main__ import main as work  # noqa: PLC0415 -- what it loads must find the shifted clocks

    work()


if __name__ == "__main__":
    main()
