"""The dashboard's files. They tell nothing of experiments, so they need no key; what they show they ask the API for."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.dashboard.assets import PAGE, assets
from api.http.errors import ApiError
from api.http.etags import etag_of, not_modified
from api.http.headers import DASHBOARD_POLICY
from api.http.negotiation import accepts_gzip

router = APIRouter(prefix="/dashboard", tags=["dashboard"], include_in_schema=False)


@router.get("")
def to_the_page() -> RedirectResponse:
    """Its scripts are named beside it, so the page has one address."""
    return RedirectResponse("/dashboard/", HTTPStatus.PERMANENT_REDIRECT)


@router.get("/")
def page(request: Request) -> Response:
    return _sent(request, PAGE)


@router.get("/{name}")
def file(request: Request, name: str) -> Response:
    return _sent(request, name)


def _sent(request: Request, name: str) -> Response:
    """As it is, or packed for a client that says so; 304 where it has this one."""
    asset = assets().get(name)
    if asset is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "the dashboard has no such file")
    packed = accepts_gzip(request.headers.get("accept-encoding", ""))
    body = asset.packed if packed else asset.content
    headers = {"ETag": etag_of(body), "Cache-Control": "no-cache", "Vary": "Accept-Encoding", **DASHBOARD_POLICY}
    if packed:
        headers["Content-Encoding"] = "gzip"
    return not_modified(request, headers) or Response(body, headers=headers, media_type=asset.media_type)
