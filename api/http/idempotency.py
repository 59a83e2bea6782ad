"""What an ``Idempotency-Key`` promises: a request that comes again gets the answer of the first and changes nothing."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.http.callers import Caller
from api.http.errors import ApiError, details_of
from api.http.fields import FieldProblem
from models.runs import idempotency
from models.runs.idempotency import KeyInFlightError, Once, OtherBodyError
from models.storage.tables import Experiment

Answer = TypeVar("Answer", bound=BaseModel)

# PostgreSQL refuses NUL in text; a header may hold it.
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same body gives the first answer again, for two days.",
    ),
]


def once(  # noqa: PLR0913, PLR0917 -- who asks, by which key, for what, and how it is done
    session: Session,
    caller: Caller,
    key: str | None,
    body: bytes,
    make: Callable[[], Answer],
    shape: type[Answer],
    mend: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Answer:
    """The answer of ``make``, or the stored one where this key came before, with the same body; ``mend`` may then do
    what is left of it.

    ApiError 409 while the first request with this key is under way, 422 for another body under it, 410 where what it
    made was deleted.
    """
    if key is None:
        return make()
    try:
        answer = Once.of(caller.owner, key, body).answer(session, lambda: make().model_dump(mode="json"), mend)
    except (KeyInFlightError, OtherBodyError) as error:
        raise refusal(error, key) from error
    if (deleted := gone(answer)) is not None:
        raise deleted
    # A first answer passes through JSON as well, so that it is the one a repetition gets.
    return shape.model_validate(answer)


def refusal(error: KeyInFlightError | OtherBodyError, key: str, field: str = "Idempotency-Key") -> ApiError:
    """What is answered where a key gets no answer of its own; ``field``: where it was given."""
    if isinstance(error, KeyInFlightError):
        detail = "a request with this Idempotency-Key has not been answered yet; try again in a moment"
        return ApiError(HTTPStatus.CONFLICT, detail, headers={"Retry-After": "1"})
    problem = FieldProblem(field=field, value=key, message="it was used before, for another body")
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "choose a new key for a new request", [problem])


def gone(answer: Mapping[str, Any]) -> ApiError | None:
    """What a stored answer has become since its experiment was deleted; None where it is there."""
    error = answer.get("gone")
    return None if error is None else ApiError(HTTPStatus(error["status"]), error["detail"])


def forget(session: Session, experiment: Experiment, error: ApiError, instance: str) -> None:
    """What keys were answered of an experiment that is being deleted: they get this error from now on."""
    said = details_of(error, instance).model_dump(mode="json")
    idempotency.forget_experiment(session, experiment, said)
