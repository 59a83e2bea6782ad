"""Experiments that differ in a few fields: every combination of the values that are listed for these.

All of it works on JSON as it was sent; whether what comes out is a spec is looked at afterwards, item by item.
"""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentRequest

MOST_SWEPT_BYTES = 16 * 1024 * 1024
"""Of all items of a sweep together, as JSON: a large spec, or a large value, is repeated in each."""
MOST_PATHS = 16
LABEL_PREFIX = "sweep."
_LONGEST_LABEL = 200
_NAME = "[A-Za-z_][A-Za-z0-9_-]*"
_STEP = re.compile(rf"\.?({_NAME})|\[([0-9]+)\]")

SweptPath = Annotated[
    str,
    StringConstraints(
        pattern=rf"^{_NAME}(\[[0-9]{{1,4}}\])*(\.{_NAME}(\[[0-9]{{1,4}}\])*)*$",
        max_length=_LONGEST_LABEL - len(LABEL_PREFIX),
    ),
]
Sweep = Annotated[
    dict[SweptPath, Annotated[tuple[Any, ...], Field(min_length=1, max_length=1_000)]], Field(max_length=MOST_PATHS)
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class SpecInBatch(ExperimentRequest):
    """One item of a batch. Its name comes behind ``ExperimentRequest``, after which a generator of clients names what
    both have.
    """

    idempotency_key: Annotated[
        Key | None,
        Field(description="As the header `Idempotency-Key`, for this item; in a sweep for each of its specs."),
    ] = None


def combinations(sweep: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """By path; the last path changes first. Without a path there is one, which is empty."""
    return (dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values()))


def how_many(sweep: Mapping[str, Sequence[Any]]) -> int:
    """Combinations, without making them."""
    return math.prod(map(len, sweep.values()))


def swept(item: Any, values: Mapping[str, Any]) -> Any:
    """A copy of ``item`` with these values in their places, and labels that say them. SpecError where there is no such
    place: a list that is too short, or what has no parts. What a spec leaves out is made.
    """
    for path, value in values.items():
        item = _placed(item, _steps(path), value, path)
    if values and isinstance(item.get("labels"), dict | None):
        said = {LABEL_PREFIX + path: _said(value) for path, value in values.items()}
        item = {**item, "labels": {**(item.get("labels") or {}), **said}}
    return item


def key_of(key: str, values: Mapping[str, Any]) -> str:
    """The key of one of a sweep's specs; none that a client could send, as it has a space in it. Of the values it has a
    hash: however long they are, a row of keys stays short, and holds no word of theirs.
    """
    if not values:
        return key
    places = {json.dumps(_steps(path)): value for path, value in values.items()}
    return f"{key} {hashlib.blake2b(_written(places).encode(), digest_size=16).hexdigest()}"


def problems_of(items: Sequence[Any], sweep: Mapping[str, Sequence[Any]]) -> Iterator[Problem]:
    """What is wrong with a sweep as a whole."""
    for path, values in sweep.items():
        counted = Counter(map(_written, values))
        if twice := next((text for text, times in counted.items() if times > 1), None):
            yield Problem(f"sweep.{path}", json.loads(twice), "this value is listed twice", "each value once")
        for other in sweep:
            if other != path and _steps(other)[: len(_steps(path))] == _steps(path):
                yield Problem(
                    f"sweep.{other}", None, f"it lies inside {path}, which is swept as well", "one of the two"
                )
    # Each value stands in every spec that has it, in its label, and in what is said of it.
    values_in_all = sum(
        len(_written(value)) * how_many(sweep) // len(listed) for listed in sweep.values() for value in listed
    )
    size = sum(len(json.dumps(item)) for item in items) * how_many(sweep) + 2 * len(items) * values_in_all
    if sweep and size > MOST_SWEPT_BYTES:
        yield Problem("sweep", size, f"all specs together are {size:,} bytes", f"at most {MOST_SWEPT_BYTES:,}")


def _written(value: Any) -> str:
    """The same for what is the same: 2 and 2.0, 0 and −0.0, and objects in any order of their names."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _steps(path: str) -> list[str | int]:
    """``remedies[1].strength`` → remedies, 1, strength."""
    return [name or int(index) for name, index in _STEP.findall(path)]


def _placed(node: Any, steps: Sequence[str | int], value: Any, path: str) -> Any:
    """Copied along the path alone: a thousand items share the rest."""
    if not steps:
        return value
    step, *rest = steps
    if isinstance(step, int):
        if not isinstance(node, list) or step >= len(node):
            count = len(node) if isinstance(node, list) else 0
            raise SpecError(Problem(path, value, f"there is no [{step}]", f"one of the {count} entries of the list"))
        return [*node[:step], _placed(node[step], rest, value, path), *node[step + 1 :]]
    if not isinstance(node, dict | None):
        raise SpecError(Problem(path, value, f"what should hold {step} has no parts", "a path inside the spec"))
    return {**(node or {}), step: _placed((node or {}).get(step), rest, value, path)}


def _said(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
