"""Data sets go in and out: files first, then the row that names them; the other way round when they leave."""

from http import HTTPStatus

from api.http.callers import Caller
from api.http.errors import ApiError, not_found
from api.http.quotas import admit_bytes
from api.uploads.reading import ReadSet, Turns
from models.storage import uploads
from models.storage.database import Database
from models.storage.files import DatasetFiles


class Shelf:
    """Where the clinic keeps data sets, how large they may be, and whose turn it is to be read."""

    def __init__(self, files: DatasetFiles, limit: int) -> None:
        self.files = files
        self.limit = limit
        self.turns = Turns()


def keep(database: Database, shelf: Shelf, caller: Caller, name: str, found: ReadSet) -> bool:
    """Store it under this name. True where its version is new to the name. 429 where its owner has too much then.

    A crash between file and row leaves files that nobody names; the same content sent again takes them over.
    """
    facts = found.facts.model_dump(mode="json")
    manifest = {"arrays": list(found.files), "facts": facts, "class_names": found.class_names}
    new = uploads.NewDataset(caller.owner, name, found.version, found.facts, found.class_names, found.size)
    with database.begin() as session:
        # Held to the commit: nobody removes the files between their writing and the row that names them.
        uploads.lock(session, found.version)
        is_new = uploads.put(session, new)
        if is_new:
            admit_bytes(session, caller, found.size)
        shelf.files.write(found.version, found.files, manifest)
        return is_new


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
        # Rows first, files after the commit: a crash in between leaves files without a row, never a row without files.
        versions = sorted(row.version for row in rows)
    for version in versions:
        with database.begin() as session:
            uploads.lock(session, version)
            # Another owner may have sent the same content, which shares the files.
            if not uploads.is_used(session, version):
                shelf.files.remove(version)
