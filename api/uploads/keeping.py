"""Data sets go in and out: files first, then the row that names them; the other way round when they leave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from api.errors import ApiError, not_found
from api.uploads.checks import CheckedSet
from models import uploads
from models.database import Database
from models.storage import DatasetFiles, version_of

_BUSY_S = 30.0


class Shelf:
    """Where the clinic keeps data sets, and how many are read at once: each may need a gigabyte while it is checked."""

    def __init__(self, files: DatasetFiles, limit: int, at_once: int = 2) -> None:
        self.files = files
        self.limit = limit
        self._turns = threading.BoundedSemaphore(at_once)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """503 where others take long."""
        if not self._turns.acquire(timeout=_BUSY_S):
            detail = "other data sets are being read; try again in a moment"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "10"})
        try:
            yield
        finally:
            self._turns.release()


def keep(database: Database, shelf: Shelf, owner: str, name: str, found: CheckedSet) -> bool:
    """Store it under this name. True where its version is new to the name.

    A crash between file and row leaves files that nobody names; the same content sent again takes them over.
    """
    arrays, facts = found.arrays(), found.facts
    version = version_of(arrays, {"form": facts.form, "class_names": found.class_names})
    size = sum(array.nbytes for array in arrays.values())
    manifest = {"arrays": list(arrays), "facts": facts.model_dump(mode="json"), "class_names": found.class_names}
    new = uploads.NewDataset(owner, name, version, facts, found.class_names, size)
    with database.begin() as session:
        uploads.lock(session, version)
        shelf.files.write(version, arrays, manifest)
        return uploads.put(session, new)


def forget(database: Database, shelf: Shelf, owner: str, name: str) -> None:
    """404 where there is none, 409 while an unfinished experiment trains on it. Files go when no row names them."""
    with database.begin() as session:
        rows = uploads.claim_for_removal(session, owner, name)
        if not rows:
            raise not_found("data set", name)
        users = uploads.users(session, owner, name, limit=3)
        if users:
            which = ", ".join(map(str, users))
            detail = f"unfinished experiments train on {name}: {which}; cancel them first, or wait for their end"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        uploads.remove(session, rows)
        versions = sorted(row.version for row in rows)
    for version in versions:
        with database.begin() as session:
            uploads.lock(session, version)
            if not uploads.is_used(session, version):
                shelf.files.remove(version)
