"""The only way in which a test starts a process: with the block it ends, and all that it has started.

Where the test process is killed, the kernel ends the process (on Linux) and the watcher everything below it.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local.child import LAUNCH
from tests.watcher import DEATH_S, MARKS, end_carriers

ROOT = Path(__file__).parent.parent
PIPE = subprocess.PIPE
Process = subprocess.Popen[str]
Done = subprocess.CompletedProcess[str]


@contextmanager
def process(
    *argv: str | Path,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    folder: Path = ROOT,
) -> Iterator[Process]:
    """``argv`` begins with the path of a program; it runs in ``folder``, in a session of its own."""
    inherited = os.environ  # noqa: TID251 -- handed on
    launch = (sys.executable, "-I", "-S", LAUNCH, str(os.getpid()), str(int(signal.SIGKILL)), "-", "-")
    with marked() as mark:
        started = subprocess.Popen(
            [*launch, *argv],
            cwd=folder,
            env={**(inherited if environment is None else environment), MARKS: inherited[MARKS]},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        _end(started, mark)


def run(
    *argv: str | Path, environment: Mapping[str, str] | None = None, check: bool = True, folder: Path = ROOT
) -> Done:
    """A program to its end, with what it has written; with ``check`` CalledProcessError where its code is not 0."""
    with process(*argv, environment=environment, stdout=PIPE, stderr=PIPE, folder=folder) as started:
        out, err = started.communicate()
    if check and started.returncode != 0:
        failure = subprocess.CalledProcessError(started.returncode, argv, out, err)
        failure.add_note(f"{out}{err}")
        raise failure
    return subprocess.CompletedProcess(argv, started.returncode, out, err)


def _end(started: Process, mark: str) -> None:
    """Bounded, also where somebody has stopped the process or it hears no signal."""
    below = list[psutil.Process]()
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(started.pid).children(recursive=True)
        started.kill()
    started.wait(DEATH_S)
    end_carriers(mark)
    end_all(below, DEATH_S)
    for pipe in (started.stdout, started.stderr):
        if pipe is not None:
            pipe.close()


def end_all(processes: Collection[psutil.Process], grace_s: float) -> None:
    """A server that carries no mark hears of its parent's death, and may need a moment to write."""
    for left in psutil.wait_procs(processes, timeout=grace_s)[1]:
        with suppress(psutil.NoSuchProcess):
            left.kill()


@contextmanager
def marked() -> Iterator[str]:
    """What is started meanwhile carries one mark more, this one."""
    before, mark = os.environ.get(MARKS, ""), uuid.uuid4().hex  # noqa: TID251 -- handed on
    os.environ[MARKS] = f"{before}:{mark}"  # noqa: TID251 -- as above
    try:
        yield mark
    finally:
        os.environ[MARKS] = before  # noqa: TID251 -- as above


class Births:
    """Tells what a test has started, at no cost where it has started nothing."""

    def __init__(self) -> None:
        self._before: list[set[psutil.Process]] | None = None  # a set at most, from the moment of the first start
        self._lasting: list[Callable[[], Collection[int | None]]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _: object) -> None:
        if event == "subprocess.Popen" and self._before == []:
            self._before.append(set(psutil.Process().children()))

    def spare(self, pids: Callable[[], Collection[int | None]]) -> None:
        """What serves several tests may be started again in one of them, and then it has to outlive it."""
        self._lasting.append(pids)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """At the end of the block everything is killed that was started in it and lives."""
        before = self._before = list[set[psutil.Process]]()
        try:
            with marked() as mark:
                yield
        finally:
            self._before = None
            for earlier in before:
                lasting = {pid for pids in self._lasting for pid in pids()}
                # Not all that is new below this process: servers that were there before have new children too.
                for child in set(psutil.Process().children()) - earlier:
                    if child.pid in lasting:
                        continue
                    with suppress(psutil.NoSuchProcess):
                        end_all([child, *child.children(recursive=True)], grace_s=0.0)
                end_carriers(mark)
