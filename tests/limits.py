"""No test outlives its time-out, whatever it does: hooks of pytest that tell a watcher (``tests.watcher``) the limits.

pytest-timeout raises an error inside the test. That is not enough: what the error passes through may wait for ever,
and nothing bounds the teardown of a test that has failed, as the timer is taken back when pytest reports the failure.
"""

import math
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.watcher import MARKS

GRACE_S = float(os.environ.get("TESTS_GRACE_S", "45"))  # noqa: TID251 -- shorter where this is what is tested
"""For teardown after a test has timed out: an embedded server takes up to 30 s to end."""
BETWEEN_S = 900.0
"""For what is no test: to collect, and to wait for tests that another process runs."""
SESSION_S = 3600.0
"""For a process whose tests are all run by others (``-n 2``)."""


class Limits:
    """A plug-in. Each process of tests has a watcher of its own, which goes last."""

    def __init__(self, *, runs_tests: bool) -> None:
        mark = uuid.uuid4().hex
        before = dict(os.environ)  # noqa: TID251 -- the watcher does not carry the mark
        os.environ[MARKS] = f"{before.get(MARKS, '')}:{mark}"  # noqa: TID251 -- tests may run tests
        self._watcher = subprocess.Popen(  # it ends by itself, after this process
            [sys.executable, str(Path(__file__).with_name("watcher.py")), mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=before,
            start_new_session=True,
        )
        self._set(BETWEEN_S if runs_tests else SESSION_S)

    def _set(self, seconds: float) -> None:
        assert self._watcher.stdin is not None
        with suppress(BrokenPipeError):
            os.write(self._watcher.stdin.fileno(), f"{seconds}\n".encode())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._set(math.inf)  # as ``--timeout 0`` asks; else the next hook is called
        result = yield
        self._set(BETWEEN_S)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, settings: Any) -> None:
        self._set(settings.timeout + GRACE_S)

    def pytest_enter_pdb(self) -> None:
        self._set(math.inf)

    def pytest_unconfigure(self) -> None:
        """Threads that do not end would keep the process."""
        self._set(GRACE_S)
