"""Pydantic's errors in the words of the spec: which field, what was given, why not, and what is allowed."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from models.specs.base import Problem, SpecError
from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.plugin import PluginDatasetSpec, PluginNetworkSpec
from models.specs.remedy import REMEDIES

MOST_PROBLEMS = 50
_LONGEST_VALUE = 200
_KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "dataset": {**DATASETS, "plugin": PluginDatasetSpec},
    "network": {**NETWORKS, "plugin": PluginNetworkSpec},
    "optimizer": OPTIMIZERS,
    "init": INITS,
    "remedies": REMEDIES,
}
_TYPES = {
    "tuple_type": "this must be a list",
    "list_type": "this must be a list",
    "model_type": "this must be an object",
    "model_attributes_type": "this must be an object",
    "dict_type": "this must be an object",
    "int_type": "this must be a whole number",
    "float_type": "this must be a number",
    "bool_type": "this must be true or false",
    "string_type": "this must be text",
}
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")


class FieldProblem(BaseModel):
    """One field: ``remedies[1].strength``, the value that was given, why not, and what is allowed."""

    field: str
    value: Any = None
    message: str
    allowed: Any = None


def from_spec(problem: Problem) -> FieldProblem:
    return FieldProblem(
        field=problem.field, value=_short(problem.value), message=problem.message, allowed=problem.allowed
    )


def from_pydantic(errors: Sequence[Mapping[str, Any]], body: Any) -> list[FieldProblem]:
    """At most 50: a body of a million wrong values gets no answer of a million lines."""
    problems: list[FieldProblem] = []
    mismatches: list[FieldProblem] = []
    # More than are shown, as most of what a union says of its branches is dropped below.
    for error in errors[: 4 * MOST_PROBLEMS]:
        # A default that hangs on another field is not asked for where that one is wrong already.
        if error["type"] == "default_factory_not_called" or _follows(error, errors):
            continue
        path, at_branch = _path(error["loc"], body, missing=error["type"] == "missing")
        is_mismatch = at_branch and error["type"] in _TYPES
        (mismatches if is_mismatch else problems).extend(_field_problems(error, path))
    # A value that fits one branch of a union but for a detail is not told that it fits no other branch.
    problems += [
        mismatch for mismatch in mismatches if not any(other.field.startswith(mismatch.field) for other in problems)
    ]
    return problems[:MOST_PROBLEMS]


def _follows(error: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list counts as too short only because entries of it are wrong themselves."""
    at = tuple(error["loc"])
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(at) and other["loc"][: len(at)] == at for other in errors
    )


def _field_problems(error: Mapping[str, Any], path: str) -> list[FieldProblem]:
    """One problem; where a model's own validator named several, each of them at its place in the model."""
    cause = error.get("ctx", {}).get("error")
    if not isinstance(cause, SpecError):
        return [_field_problem(error, path)]
    places = [f"{path}.{problem.field}" if path else problem.field for problem in cause.problems]
    return [from_spec(replace(problem, field=field)) for problem, field in zip(cause.problems, places, strict=True)]


def _field_problem(error: Mapping[str, Any], path: str) -> FieldProblem:
    where = path or str(error["loc"][-1])
    match error["type"]:
        case "missing":
            return FieldProblem(field=where, message="this field is required")
        case "union_tag_not_found":
            # An entry of a list (``remedies[1]``) has the kinds of the list.
            kinds = _KINDS.get(re.split(r"[.\[]", where.rstrip("0123456789[]"))[-1], ())
            return FieldProblem(field=f"{where}.kind", message="this field is required", allowed=list(kinds) or None)
        case "union_tag_invalid":
            tag = _short(error["ctx"]["tag"])
            return FieldProblem(
                field=f"{where}.kind", value=tag, message="there is no such kind", allowed=_allowed(error)
            )
        case "extra_forbidden":
            message = "there is no such field; /openapi.json has those there are"
            return FieldProblem(
                field=where, value=_short(error["input"]), message=message, allowed=_siblings(error, where)
            )
        case _:
            message = _TYPES.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
            return FieldProblem(field=where, value=_short(error.get("input")), message=message, allowed=_allowed(error))


def _siblings(error: Mapping[str, Any], where: str) -> list[str] | None:
    """The fields that a part of a spec has, where its ``kind`` is known: ``optimizer.lr`` → learning_rate, …"""
    parts = re.sub(r"\[\d+\]", "", where).split(".")
    # Pydantic names the branch that it tried, which is the kind, before the field.
    known = _KINDS.get(parts[-2], {}).get(str(error["loc"][-2])) if len(parts) > 1 else None
    return None if known is None else sorted(known.model_fields)


def _path(location: Sequence[int | str], body: Any, *, missing: bool) -> tuple[str, bool]:
    """The path as the body has it, and whether it ends at the branch of a union.

    Pydantic's locations also name the branches it tried: the ``kind`` of a tagged union, the type of another. These
    are no keys of the body; a tag that happens to be one (the remedy ``init`` has a field ``init``) comes first.
    """
    if location[0] != "body":
        return str(location[1]), False
    text, node, may_be_tag, at_branch = "", body, False, False
    for part in location[1:]:
        at_branch = False
        if isinstance(part, int):
            text += f"[{part}]"
            node = node[part] if isinstance(node, list) and part < len(node) else None
            may_be_tag = True
        elif may_be_tag and isinstance(node, dict) and node.get("kind") == part:
            may_be_tag = False
        elif isinstance(node, dict) and part in node:
            text += f".{part}" if text else part
            node = node[part]
            may_be_tag = True
        else:
            at_branch = True
    if missing and at_branch:
        text += f".{location[-1]}" if text else str(location[-1])
    return text, at_branch and not missing


def _allowed(error: Mapping[str, Any]) -> Any:
    context = error.get("ctx", {})
    words = context.get("expected_tags") or context.get("expected")
    if error["type"] in {"literal_error", "enum", "union_tag_invalid"}:
        return re.findall(r"'([^']*)'", words) or words
    return {name: context[name] for name in _LIMITS if name in context} or None


def _short(value: Any) -> Any:
    """The value as it was given, if it is small; else how it begins."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 10**18:
        return value
    # Long numbers too: one may have thousands of digits.
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > _LONGEST_VALUE:
        return text[:_LONGEST_VALUE] + "…"
    return text if isinstance(value, int) else value
