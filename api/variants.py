"""The variants of a new spec, unless they are too many."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from models.plan import Variant, expand, runs_per_variant
from models.specs.base import Problem, SpecError
from models.specs.experiment import MAX_RUNS, ExperimentSpec

log = structlog.get_logger()

MOST_LAYERS = 20_000
"""Over all variants; a tenth of a second of planning, and a second for a comparison while its runs are trained."""


@contextmanager
def refusing(field: str) -> Iterator[None]:
    """What planning fails at cannot be planned: SpecError in the place of whatever was raised. The log has the reason,
    as a planner should have refused it by itself.
    """
    try:
        yield
    except SpecError:
        raise
    # What a formula or a table can raise, and no more: a full memory is no fault of the spec.
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        log.exception("a spec could not be planned")
        message = f"this cannot be planned: {type(error).__name__}: {error}"
        raise SpecError(Problem(field, None, message, "another combination of its parts")) from error


def planned(spec: ExperimentSpec) -> tuple[Variant, ...]:
    """Every variant of a new spec with its plan, the baseline first. SpecError where one cannot be, where they are too
    many, or where it is too late.
    """
    _check_limits(spec)
    layers = layers_of(spec)
    if layers > MOST_LAYERS:
        message = f"the layers of all variants are about {layers:,}"
        field = "variants" if spec.variants is not None else "remedies"
        raise SpecError(Problem(field, layers, message, f"at most {MOST_LAYERS:,} layers over all variants"))
    with refusing("network"):
        return expand(spec)


def room_for(spec: ExperimentSpec) -> tuple[int, int]:
    """How many variants beside the baseline can be planned, and how many of them trained, within the limits."""
    planned = MOST_LAYERS // spec.network.layer_count - 1
    return max(planned, 0), max(min(planned, MAX_RUNS // runs_per_variant(spec) - 1), 0)


def _check_limits(spec: ExperimentSpec) -> None:
    now = dt.datetime.now(dt.UTC)
    for field, limit in spec.limits().items():
        if limit <= now:
            message = f"it has passed: no run could {'end' if field == 'end_before' else 'start'} before it"
            raise SpecError(Problem(field, limit.isoformat(), message, f"after {now.isoformat()}"))


def layers_of(spec: ExperimentSpec) -> int:
    """About how many layers all variants have together; nothing is planned for it."""
    variants = 1 + len(spec.variants if spec.variants is not None else spec.remedies)
    return variants * spec.network.layer_count
