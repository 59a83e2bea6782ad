"""Users' own data: sent, looked at, removed. What is checked and how it is kept is in ``api/uploads``."""

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from api.dependencies import CallerDep, DatabaseDep, OwnerQuery, ShelfDep
from api.http.callers import Caller
from api.http.errors import not_found
from api.http.pagination import PageDep
from api.uploads.body import UploadDep
from api.uploads.keeping import forget, keep
from api.uploads.reading import reading
from api.views.experiments import Links, Time
from models.specs.text import PLAIN
from models.specs.uploaded import NAME, UploadedFacts
from models.storage import uploads
from models.storage.tables import Dataset

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

Name = Annotated[str, Path(pattern=NAME)]
Owner = Annotated[
    str | None, Query(max_length=200, pattern=PLAIN, description="Whose, for admins; by default the caller's own.")
]
_FILES = ("file", "train_images", "train_labels", "test_images", "test_labels")
"""How a form's files are usually called; any other name will do, as files are told by what is in them."""
# Of the ways to send files the one that every generator knows; how they are read stands in the address as well.
_FORM = {"schema": {"type": "object", "properties": {file: {"type": "string", "format": "binary"} for file in _FILES}}}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": _FORM}}}


class VersionView(BaseModel):
    """One content of a data set; ``bytes`` as it is kept."""

    version: str
    facts: UploadedFacts
    class_names: list[str] | None
    bytes: int
    created_at: Time


class DatasetView(VersionView):
    """The current version, and all versions with it in front."""

    name: str
    owner: str
    spec: dict[str, Any]
    """What names it in an experiment."""
    versions: list[VersionView]
    links: Links


class DatasetItem(VersionView):
    name: str
    owner: str
    links: Links


class DatasetPage(BaseModel):
    items: list[DatasetItem]
    next_page_token: str


_CREATED: dict[int | str, dict[str, Any]] = {
    201: {"description": "A new version.", "model": DatasetView},
}


@router.put("/{name}", summary="Send a data set", responses=_CREATED, openapi_extra=_BODY)
async def put(  # noqa: PLR0913, PLR0917 -- what FastAPI is to hand in
    name: str, upload: UploadDep, response: Response, caller: CallerDep, database: DatabaseDep, shelf: ShelfDep
) -> DatasetView:
    """IDX, npz, Parquet, Arrow, CSV or a zip of WAV, recognised by content and checked before any of it is kept. 201
    for a new version, 200 where this content was there.
    """
    # The turn ends when it is kept: files of two uploads never lie unpacked side by side.
    async with shelf.turns.turn(), reading(upload, shelf.limit) as found:
        is_new = await run_in_threadpool(keep, database, shelf, caller, name, found)
    view = await run_in_threadpool(look, name, caller, database)
    response.status_code = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    response.headers["Location"] = view.links["self"]
    return view


@router.get("/{name}", summary="Look at a data set")
def look(name: Name, caller: CallerDep, database: DatabaseDep, owner: Owner = None) -> DatasetView:
    """Its facts, and every version with the current one in front."""
    with database.begin() as session:
        rows = uploads.versions(session, _whose(caller, owner, name), name)
    if not rows:
        raise not_found("data set", name)
    current = rows[0]
    return DatasetView(
        **_shown(current),
        name=current.name,
        owner=current.owner,
        spec={"kind": "uploaded", "name": current.name, "version": current.version},
        versions=[VersionView(**_shown(row)) for row in rows],
        links=_links(current, caller),
    )


@router.get("", summary="List data sets")
def list_datasets(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    owner: OwnerQuery = None,
) -> DatasetPage:
    """Those that the caller may see, each in its current version, newest first."""
    if owner is not None and not caller.may_see(owner):
        return DatasetPage(items=[], next_page_token="")
    whose = {owner} if owner is not None else None if caller.sees_all else caller.visible
    with database.begin() as session:
        found = uploads.newest(session, whose, page.before(), page.asked)
    shown, token = page.cut(found, lambda row: row.id)
    items = [DatasetItem(**_shown(row), name=row.name, owner=row.owner, links=_links(row, caller)) for row in shown]
    return DatasetPage(items=items, next_page_token=token)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT, summary="Delete a data set")
def delete(name: Name, caller: CallerDep, database: DatabaseDep, shelf: ShelfDep, owner: Owner = None) -> None:
    """Every version of it. 409 while an unfinished experiment trains on one."""
    forget(database, shelf, _whose(caller, owner, name), name)


def _whose(caller: Caller, asked: str | None, name: str) -> str:
    """404 for what the caller may not see: it is as if there were none."""
    owner = caller.owner if asked is None else asked
    if not caller.may_see(owner):
        raise not_found("data set", name)
    return owner


def _shown(row: Dataset) -> dict[str, Any]:
    return {
        "version": row.version,
        "facts": row.facts,
        "class_names": row.class_names,
        "bytes": row.bytes,
        "created_at": row.created_at,
    }


def _links(row: Dataset, caller: Caller) -> Links:
    whose = "" if row.owner == caller.owner else f"?owner={quote(row.owner, safe='')}"
    return {"self": f"/v1/datasets/{row.name}{whose}"}
