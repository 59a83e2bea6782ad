"""Why data are not taken: what is wrong, where, and what would be allowed."""

from http import HTTPStatus
from typing import Any

from api.errors import ApiError
from api.fields import FieldProblem

FORMATS = [
    "IDX images and labels, packed by gzip or not, as files of one form or in a zip",
    "npz with x and y, or x_train, y_train, x_test, y_test; without pickle",
    "Parquet or Arrow IPC with the columns features and label",
    "a zip of WAV files in a folder per label, or with labels.csv",
]


def invalid(field: str, message: str, value: Any = None, allowed: Any = None) -> ApiError:
    """422: the format is known and the content cannot be."""
    problem = FieldProblem(field=field[:200], value=value, message=message, allowed=allowed)
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field[:200]}: {message}", [problem])


def unknown(field: str, message: str) -> ApiError:
    """415: nothing here reads this."""
    problem = FieldProblem(field=field[:200], message=message, allowed=FORMATS)
    return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{field[:200]}: {message}", [problem])


def too_large(field: str, message: str, limit: int) -> ApiError:
    """413, also where only what would be unpacked is too large."""
    problem = FieldProblem(field=field[:200], message=message, allowed=f"at most {limit:,}")
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{field[:200]}: {message}", [problem])
