"""The data folder of one clinic: held by one process at a time, which says so in the lock file.

The lock is the kernel's (flock), so a killed process never leaves it behind.
"""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from local.errors import OccupiedError
from local.outside import remove_outside

LOCK = "lock"


class Folder:
    """A held data folder. ``release()`` gives it back; one made by ``temporary`` disappears then."""

    def __init__(self, path: Path, lock: int, *, kept: bool) -> None:
        self.path = path
        self.kept = kept
        self._lock = lock
        for name in ("logs", "pids"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
        self.announce(None)

    @classmethod
    def claim(cls, path: Path) -> Self:
        """Takes the folder, making it where there is none; raises OccupiedError where another process holds it."""
        _make(path)
        return cls(path.resolve(), _lock(path), kept=True)

    @classmethod
    def temporary(cls, parent: Path, prefix: str) -> Self:
        """A new folder below ``parent``; those that killed processes have left there are removed first."""
        with _held(parent):
            # A killed process leaves its folder but never its lock.
            for left in parent.glob(f"{prefix}*"):
                _remove_if_dead(left)
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
            path.chmod(_mode())
            return cls(path, _lock(path), kept=False)

    def announce(self, address: str | None) -> None:
        """Says in the lock file who is here, for the next one who knocks."""
        (self.path / LOCK).write_text(json.dumps({"pid": os.getpid(), "address": address}))

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def record(self, name: str) -> Path:
        return self.path / "pids" / name

    def release(self) -> None:
        if not self.kept:
            # The lock file goes with the folder: whoever came now would take what is left of it for a dead one's.
            with _held(self.path.parent):
                _remove(self.path)
        # Closing gives the lock back.
        os.close(self._lock)


def new_password() -> str:
    """Letters, digits, - and _ only: it goes into URLs as it is."""
    return secrets.token_urlsafe(24)


def _mode() -> int:
    # Root's servers run as another user, who has to get through this folder to their own inside.
    return 0o711 if os.geteuid() == 0 else 0o700


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.mkdir(exist_ok=True)
        path.chmod(_mode())  # mkdir's own mode is cut by the umask


def _lock(path: Path) -> int:
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OccupiedError(path, *_holder(path)) from None
    return lock


def _holder(path: Path) -> tuple[int | None, str | None]:
    try:
        holder = json.loads((path / LOCK).read_text())
    except json.JSONDecodeError:  # read in the moment of its writing
        return None, None
    return holder["pid"], holder["address"]


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Between making a folder and locking it, nobody may take it for a dead one."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_if_dead(path: Path) -> None:
    try:
        lock = _lock(path)
    except (OccupiedError, NotADirectoryError):
        return
    _remove(path)
    os.close(lock)


def _remove(path: Path) -> None:
    remove_outside(path)
    shutil.rmtree(path)
