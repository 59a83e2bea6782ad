"""The app as a contract that machines read: ``/openapi.json``, and ``/docs`` for people, without any script."""

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.types import ASGIApp

from api.http.document import for_generators
from api.http.errors import MEDIA_TYPE, ProblemDetails
from api.http.headers import Headers, page_policy
from api.http.openapi30 import as_30
from api.http.openapi32 import as_32
from api.http.recorded import add_examples
from api.http.scopes import needed
from models.specs.base import by_kind
from models.specs.dataset import DatasetSpec
from models.specs.init import InitSpec
from models.specs.networks import NetworkSpec
from models.specs.normalization import NormalizationSpec, SkipSpec
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import RemedySpec
from models.specs.schedule import ScheduleSpec
from models.specs.sequential import Item
from models.specs.sweep import SpecInBatch

_REF = "#/components/schemas/{model}"


def _rate(about: str) -> dict[str, Any]:
    return {"description": f"{about} With every answer to a key that has a rate.", "schema": {"type": "integer"}}


PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem details (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDetails")}}},
        "headers": {
            "Retry-After": {
                "description": "Seconds, where the same request may be answered then (409, 429, 503).",
                "schema": {"type": "integer"},
            },
            "RateLimit-Limit": _rate("Requests that the owner of the key may send in a minute."),
            "RateLimit-Remaining": _rate("Those that are left of it."),
            "RateLimit-Reset": _rate("Seconds until the next minute begins."),
        },
    }
}

UNIONS: Final = {
    name: by_kind(union)
    for name, union in {
        "DatasetSpec": DatasetSpec,
        "InitSpec": InitSpec,
        "ItemSpec": Item,
        "NetworkSpec": NetworkSpec,
        "NormalizationSpec": NormalizationSpec,
        "OptimizerSpec": OptimizerSpec,
        "RemedySpec": RemedySpec,
        "ScheduleSpec": ScheduleSpec,
        "SkipSpec": SkipSpec,
    }.items()
}
# FastAPI's own page loads its scripts from a CDN, which a clinic without internet has not.
_STYLE = """:root{color-scheme:light dark;--code:#f3f4f6;--verb:#0b5cad}
@media(prefers-color-scheme:dark){:root{--code:#21262d;--verb:#6cb6ff}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}
code{background:var(--code);padding:.1em .3em;border-radius:3px;overflow-wrap:anywhere}
dt{margin-top:.8rem}dd{margin:.1rem 0 0 4.5rem}b{display:inline-block;min-width:4.5rem;color:var(--verb)}
h2{font-size:1.15rem;margin:2rem 0 0}h2:first-letter{text-transform:uppercase}
@media(max-width:640px){dd{margin-left:0}}"""
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gradient Clinic API</title>
<meta name="viewport" content="width=device-width"><link rel=icon href="data:,"><style>{style}</style></head>
<body><h1>Gradient Clinic</h1><p>{about}</p><p>The <a href="/dashboard/">dashboard</a> shows it all. Machines read
 <a href="/openapi.json">/openapi.json</a>, <a href="/openapi-3.0.json">/openapi-3.0.json</a> or
 <a href="/openapi-3.2.json">/openapi-3.2.json</a>.</p>{routes}
</body></html>"""


class Clinic(FastAPI):
    """FastAPI, whose schema also knows the shape of errors, and whose answers all have the headers for browsers."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            problem = ProblemDetails.model_json_schema(ref_template=_REF)
            # No route declares it as its answer, so FastAPI does not know that it is one.
            schema["components"]["schemas"] |= problem.pop("$defs") | {"ProblemDetails": problem}
            # What is wrong with an item is said of that item alone, so the request's own shape leaves them open.
            schemas = schema["components"]["schemas"]
            key = SpecInBatch.model_json_schema()["properties"]["idempotency_key"]
            request = schemas["ExperimentRequest"]
            schemas["SpecInBatch"] = request | {
                "description": SpecInBatch.__doc__,
                "properties": request["properties"] | {"idempotency_key": key},
            }
            schemas["Batch"]["properties"]["items"]["items"] = {"$ref": _REF.format(model="SpecInBatch")}
            self._say_scopes(schema)
            self.openapi_schema = for_generators(schema, UNIONS)
            add_examples(self.openapi_schema)
        return super().openapi()

    def _say_scopes(self, schema: dict[str, Any]) -> None:
        """Of every operation that asks for a key, what that key must be good for."""
        for route in iter_route_contexts(self.routes):
            for method in route.methods or ():
                operation = schema["paths"].get(route.path_format, {}).get(method.lower(), {})
                if "security" in operation:
                    operation["x-scope"] = needed(route, method).value

    def build_middleware_stack(self) -> ASGIApp:
        return Headers(super().build_middleware_stack())


def operation_id(route: APIRoute) -> str:
    """What a generated client calls the operation: ``experiments_submit``."""
    return f"{route.tags[0]}_{route.name}"


def add_docs(app: FastAPI) -> None:
    @cache  # as FastAPI keeps the other; anybody may ask for either
    def older() -> dict[str, Any]:
        return as_30(app.openapi())

    @cache
    def newer() -> dict[str, Any]:
        return as_32(app.openapi())

    @app.get("/openapi-3.0.json", tags=["docs"], include_in_schema=False)
    def openapi_30() -> JSONResponse:
        return JSONResponse(older())

    @app.get("/openapi-3.2.json", tags=["docs"], include_in_schema=False)
    def openapi_32() -> JSONResponse:
        return JSONResponse(newer())

    @app.get("/docs", tags=["docs"], include_in_schema=False)
    @app.get("/", tags=["docs"], include_in_schema=False)
    def docs() -> HTMLResponse:
        page = _PAGE.format(style=_STYLE, about=escape(app.description), routes=_routes(app.openapi()))
        return HTMLResponse(page, headers=page_policy(_STYLE))


def _routes(document: Mapping[str, Any]) -> str:
    """Under a heading for each tag, in the order of the document."""
    found: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            found.setdefault(route["tags"][0], []).append(
                f"<dt><b>{method.upper()}</b><code>{escape(path)}</code> {escape(route['summary'])}"
                f"<dd>{_marked(route.get('description', ''))}"
            )
    return "".join(f"<h2>{escape(tag)}</h2><dl>{''.join(rows)}</dl>" for tag, rows in found.items())


def _marked(text: str) -> str:
    """Docstrings mark code by double backquotes."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text))
