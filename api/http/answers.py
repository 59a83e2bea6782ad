"""Answers that are written where they are made."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Response
from pydantic import BaseModel


def written(view: BaseModel, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """Of a route with this ``response_model``. Where a route returns the model, FastAPI asks for a thread once more to
    check what is checked already, and writes it in the thread that reads and writes the sockets of all others.
    """
    return Response(view.model_dump_json(), status, headers, media_type="application/json")
