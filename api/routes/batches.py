"""Many experiments in one request, listed or swept; each has a result of its own."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field, ValidationError, model_validator
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.dependencies import CallerDep, DatabaseDep
from api.http.bodies import ItemsRoute, check_text
from api.http.callers import Caller
from api.http.errors import ApiError, ProblemDetails, details_of, invalid_spec, mistake
from api.http.idempotency import IdempotencyKey, gone, once, refusal
from api.http.quotas import admit_runs, hold_runs
from api.submissions import deleted, prepared, stored
from api.views.experiments import ExperimentView
from models import runs
from models.runs import Submission
from models.runs.idempotency import Once, keep, look_up
from models.specs.base import Problem, Spec, SpecError
from models.specs.sweep import SpecInBatch, Sweep, combinations, how_many, key_of, problems_of, swept

log = structlog.get_logger()
router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=ItemsRoute)

MOST_ITEMS = 1_000
PASSING = frozenset({409, 429, 500, 503})
"""Of an item: it was refused for what was so at the time, and not for what it is. By itself it would not be kept."""
_HERE = "/v1/experiments/batch"
_TWICE = "an item before it, or the request itself, has this key"


class Batch(Spec):
    """Specs to submit, each on its own: one that is refused does not hold up the others.

    With ``sweep`` each item stands for as many specs as there are combinations of the values that are listed by path.
    """

    items: tuple[Any, ...] = Field(
        min_length=1,
        max_length=MOST_ITEMS,
        description="Each as the body of `POST /v1/experiments`, and `idempotency_key` beside it.",
    )
    sweep: Sweep = Field(
        default_factory=dict,
        description="Values by the path of their field, as `network.depth` or `remedies[0].strength`.",
    )

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        count = len(self.items) * how_many(self.sweep)
        if count > MOST_ITEMS:
            raise SpecError(Problem("sweep", count, f"these are {count:,} experiments", f"at most {MOST_ITEMS:,}"))
        if problems := list(problems_of(self.items, self.sweep)):
            raise SpecError(*problems)
        return self

    def written(self) -> bytes:
        """Anew, so that spaces and line breaks make no other body under one key."""
        return json.dumps([self.items, self.sweep] if self.sweep else self.items).encode()


class BatchItem(BaseModel):
    """What became of one item: 202 with the experiment, or its error. ``swept``: the values of a sweep by path."""

    status: int
    experiment: ExperimentView | None = None
    error: ProblemDetails | None = None
    swept: dict[str, Any] | None = None


class BatchResult(BaseModel):
    items: list[BatchItem]


@router.post("/batch", status_code=HTTPStatus.MULTI_STATUS, summary="Submit many experiments")
def submit_batch(
    batch: Batch, caller: CallerDep, database: DatabaseDep, idempotency_key: IdempotencyKey = None
) -> BatchResult:
    """A result per item, in order: 202, or what is wrong with that item. All that is accepted is stored in one
    transaction: a batch that got no answer has stored nothing, or can be asked for again by its ``Idempotency-Key``.
    An item whose experiment was deleted since is then a 410; one that was refused for the moment is tried again.

    ``sweep`` makes an item of each combination of its values, the last path changing first, with labels that say them.
    """
    with database.begin() as session:

        def make() -> BatchResult:
            return BatchResult(items=_results(session, caller, _read_all(caller, batch, idempotency_key)))

        def mend(kept: dict[str, Any]) -> dict[str, Any]:
            left = [index for index, item in enumerate(kept["items"]) if item["status"] in PASSING]
            if not left:
                return kept
            # All of them and not those that are left: which of two has a key first hangs on the others.
            asked = _read_all(caller, batch, idempotency_key)
            again = _results(session, caller, [asked[index] for index in left])
            items = dict(enumerate(kept["items"]))
            items |= {index: item.model_dump(mode="json") for index, item in zip(left, again, strict=True)}
            return {"items": list(items.values())}

        result = once(session, caller, idempotency_key, batch.written(), make, BatchResult, mend)
        there = runs.existing(session, [uuid.UUID(item.experiment.id) for item in result.items if item.experiment])
    return BatchResult(items=[_as_it_is(item, there) for item in result.items])


@dataclass(frozen=True, slots=True)
class _Asked:
    """An item that is a spec; ``once``: where it has a key."""

    request: SpecInBatch
    once: Once | None
    swept: dict[str, Any] | None


_Read = _Asked | BatchItem
"""Or what is wrong with it."""


def _read_all(caller: Caller, batch: Batch, key: str | None) -> list[_Read]:
    """``key``: of the request as a whole."""
    found = [_read(caller, item, values) for item in batch.items for values in combinations(batch.sweep)]
    keys = set() if key is None else {key}
    for index, one in enumerate(found):
        if isinstance(one, _Asked) and one.once is not None:
            if one.once.key in keys:
                problem = Problem("idempotency_key", one.request.idempotency_key, _TWICE, "a key for each item")
                found[index] = _refused(SpecError(problem), None, one.swept)
            keys.add(one.once.key)
    return found


def _read(caller: Caller, item: Any, values: dict[str, Any]) -> _Read:
    told = values or None
    try:
        item = swept(item, values)
        check_text(item)
        request = SpecInBatch.model_validate(item)
        if request.idempotency_key is None:
            return _Asked(request, None, told)
        # As the same spec under the same key would be by itself.
        body = request.model_dump_json(exclude={"idempotency_key"}).encode()
        return _Asked(request, Once.of(caller.owner, key_of(request.idempotency_key, values), body), told)
    except (ValidationError, SpecError, ApiError) as error:
        return _refused(error, item, told)
    except Exception:  # whatever it is, the other items are no part of it
        log.exception("an item of a batch cannot be read")
        return _refused(mistake(), item, told)


def _results(session: Session, caller: Caller, asked: Sequence[_Read]) -> list[BatchItem]:
    """All at once, in a savepoint. Where that trips, each half by itself, down to the item that is at fault. Only a
    database that is away ends the batch: then nothing of it is stored.
    """
    # Outside of the savepoint, and anew where one was taken back: what was counted in it is.
    hold_runs(session, caller)
    try:
        with session.begin_nested():
            return _together(session, caller, asked)
    except OperationalError:
        # Not one item's fault, and nothing of the batch could be stored.
        raise
    except Exception:  # as above
        if len(asked) == 1:
            log.exception("an item of a batch failed")
            return [_refused(mistake(), None, asked[0].swept)]
    half = len(asked) // 2
    return [*_results(session, caller, asked[:half]), *_results(session, caller, asked[half:])]


def _together(session: Session, caller: Caller, asked: Sequence[_Read]) -> list[BatchItem]:
    """In a few statements, however many there are."""
    known = _known(session, [one.once for one in asked if isinstance(one, _Asked) and one.once is not None])
    settled = [_settled(session, caller, one, known) for one in asked]
    views = iter(stored(session, [one for one in settled if isinstance(one, Submission)]))
    results: list[BatchItem] = []
    answers: dict[Once, dict[str, Any]] = {}
    for one, fate in zip(asked, settled, strict=True):
        if isinstance(fate, BatchItem):
            results.append(fate.model_copy(update={"swept": one.swept}))
            continue
        view = next(views)
        results.append(BatchItem(status=HTTPStatus.ACCEPTED, experiment=view, swept=one.swept))
        if isinstance(one, _Asked) and one.once is not None:
            # Only what was accepted is kept: a refusal leaves its key free for the same item once it can be.
            answers[one.once] = view.model_dump(mode="json")
    keep(session, answers)
    return results


def _known(session: Session, asked: Sequence[Once]) -> dict[Once, BatchItem]:
    """What those keys get that are not the first of their name."""
    found: dict[Once, BatchItem] = {}
    for one, answer in zip(asked, look_up(session, asked), strict=True):
        if isinstance(answer, Exception):
            found[one] = _refused(refusal(answer, one.key, "idempotency_key"), None, None)
        elif (error := gone(answer or {})) is not None:
            found[one] = _refused(error, None, None)
        elif answer is not None:
            view = ExperimentView.model_validate(answer)
            found[one] = BatchItem(status=HTTPStatus.ACCEPTED, experiment=view)
    return found


def _settled(session: Session, caller: Caller, one: _Read, known: Mapping[Once, BatchItem]) -> Submission | BatchItem:
    if isinstance(one, BatchItem):
        return one
    if one.once is not None and one.once in known:
        return known[one.once]
    try:
        submission = prepared(session, caller, one.request)
        admit_runs(session, caller, submission.runs)
    except (SpecError, ApiError) as error:
        return _refused(error, None, None)
    return submission


def _refused(error: ValidationError | SpecError | ApiError, given: Any, values: dict[str, Any] | None) -> BatchItem:
    if isinstance(error, ApiError):
        return BatchItem(status=error.status_code, error=details_of(error, _HERE), swept=values)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return BatchItem(status=status, error=invalid_spec(error, given, _HERE), swept=values)


def _as_it_is(item: BatchItem, there: Collection[uuid.UUID]) -> BatchItem:
    """What was stored under a key earlier may have been deleted."""
    if item.experiment is None or uuid.UUID(item.experiment.id) in there:
        return item
    return BatchItem(status=HTTPStatus.GONE, error=details_of(deleted(item.experiment.id), _HERE), swept=item.swept)
