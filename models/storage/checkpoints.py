"""Files of checkpoints, ``checkpoints/<run>-<attempt>-<step>.pt`` on any fsspec file system, and which are of no use.

What is in them is the worker's own (``worker/checkpoints.py``). The one that a run can go on from is named in its
row; a name is never used twice, so nobody writes what another reads.
"""

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import fsspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.status import State
from models.storage.database import Database
from models.storage.tables import Run

STRANGE_S = 3_600.0
"""Files of runs that the database does not know are left alone for so long: they may be another database's."""
_NAME = re.compile(r"(?P<run>[0-9a-f-]{36})-(?P<attempt>\d+)-(?P<step>\d+)\.pt(?P<draft>\.draft)?")


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a checkpoint's file. ``draft``: it was still being written."""

    run_id: uuid.UUID
    attempt: int
    step: int
    draft: bool = False

    def __str__(self) -> str:
        return f"{self.run_id}-{self.attempt}-{self.step}.pt{'.draft' if self.draft else ''}"

    @classmethod
    def of(cls, text: str) -> "Name | None":
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        return cls(uuid.UUID(found["run"]), int(found["attempt"]), int(found["step"]), found["draft"] is not None)


class CheckpointFiles:
    """The files below one storage URL. OSError where the storage is away or a file is missing."""

    def __init__(self, url: str) -> None:
        self._system, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/checkpoints"

    def write(self, name: Name, content: bytes) -> None:
        """All or nothing: under the name of a draft, then moved."""
        self._system.makedirs(self._root, exist_ok=True)
        path = f"{self._root}/{name}"
        with self._system.open(f"{path}.draft", "wb") as file:
            file.write(content)
        # A worker that dies before this line leaves a draft, which no row ever names.
        self._system.mv(f"{path}.draft", path)

    def read(self, name: str) -> bytes:
        self._system.invalidate_cache()  # another machine wrote it
        with self._system.open(f"{self._root}/{name}", "rb") as file:
            content: bytes = file.read()
        return content

    def remove(self, name: str) -> None:
        """Somebody else may have done it already."""
        try:
            self._system.rm(f"{self._root}/{name}")
        except FileNotFoundError:
            return

    def names(self) -> list[Name]:
        self._system.invalidate_cache()
        if not self._system.exists(self._root):
            return []
        found = (Name.of(path.rpartition("/")[2]) for path in self._system.ls(self._root, detail=False))
        return [name for name in found if name is not None]

    def age_s(self, name: Name) -> float:
        written: dt.datetime = self._system.modified(f"{self._root}/{name}")
        return (dt.datetime.now(dt.UTC) - written).total_seconds()


def named_by(session: Session, experiment_id: uuid.UUID) -> list[str]:
    """The files that its runs would go on from."""
    query = select(Run.checkpoint_path).where(Run.experiment_id == experiment_id, Run.checkpoint_path.is_not(None))
    return [name for name in session.execute(query).scalars() if name is not None]


def collect(database: Database, files: CheckpointFiles) -> int:
    """Remove the files that no attempt will read. How many.

    The files are listed before the rows are read. A file that a run names by then stays. So does one that its newest
    attempt has written beyond that, as it will be named in a moment. What is of no use never becomes so again, so no
    transaction waits for the storage.
    """
    names = files.names()
    with database.begin() as session:
        named = select(Run).where(Run.id.in_({name.run_id for name in names}))
        known = {run.id: run for run in session.execute(named).scalars()}
    useless = [name for name in names if _is_useless(name, known, files)]
    for name in useless:
        files.remove(str(name))
    return len(useless)


def _is_useless(name: Name, known: Mapping[uuid.UUID, Run], files: CheckpointFiles) -> bool:
    run = known.get(name.run_id)
    # Two clinics may share a storage by mistake: a young stranger may be another database's, and in use.
    if run is None:
        return files.age_s(name) > STRANGE_S
    if State(run.state).is_finished:
        return True
    if str(name) == run.checkpoint_path:
        return False
    # An earlier attempt writes in vain: its lease is void.
    return name.attempt < run.attempt or name.step <= (run.checkpoint_step or 0)
