"""What a JSON value may be in a spec, for every field of every spec: a number is no text and no boolean, a whole number
may be written 1.0 (JSON has one type of number), and null stands for a default where it means nothing else.

Pydantic's own strict mode cannot be used: it would refuse the lists and objects that JSON has for tuples and models.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import CoreSchema, PydanticKnownError, PydanticUseDefault, core_schema

_NUMBERS = frozenset({"int", "float", "bool"})
_CHILDREN = ("schema", "items_schema", "keys_schema", "values_schema", "choices")
"""Where a schema holds others."""
_NULLABLE = frozenset({"nullable", "none", "any"})


def make_strict(schema: CoreSchema) -> None:
    """Change a model's schema in place: its fields, and the validators around them. What was changed before stays."""
    inner: Any = schema
    # Validators of a model lie around its fields, one in the other.
    while inner["type"] != "model-fields":
        if (function := _function_of(inner)) is not None and not isinstance(function, _Refusing):
            inner["function"] = inner["function"] | {"function": _Refusing(function)}
        inner = inner["schema"]
    for name, field in inner["fields"].items():
        field["schema"] = _strict(field["schema"])
        if name != "kind":  # chooses the model, so it is read before
            field["schema"] = _with_null(field["schema"])


@dataclass(frozen=True, slots=True)
class _Refusing:
    """A model's validator that refuses whatever it fails at: Pydantic makes an error of the client's of ValueError and
    AssertionError alone, and a value that a validator trips over was no good either.
    """

    validator: Callable[..., object]

    def __call__(self, *given: object) -> object:
        try:
            return self.validator(*given)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            message = f"this cannot be: {type(error).__name__}: {error}"
            raise ValueError(message) from error


def _strict(schema: Any) -> Any:
    """Every number below; models are left to themselves."""
    if schema["type"] == "model" or _function_of(schema) in _CHANGED:
        return schema
    if schema["type"] == "int":
        # 1.0 becomes 1 first; strictly read, anything else that is no whole number is refused.
        return core_schema.no_info_before_validator_function(_whole, schema | {"strict": True})
    if schema["type"] == "literal" and any(isinstance(value, int) for value in schema["expected"]):
        return core_schema.no_info_before_validator_function(_no_boolean, schema)
    strict = {"strict": True} if schema["type"] in _NUMBERS else {}
    return schema | {key: _inside(schema[key]) for key in _CHILDREN if key in schema} | strict


def _inside(child: Any) -> Any:
    if isinstance(child, list):
        return [_inside(each) for each in child]
    if isinstance(child, dict):
        # Without a type it is a table of schemas: a union's, by tag.
        return _strict(child) if isinstance(child.get("type"), str) else {key: _inside(child[key]) for key in child}
    return child


def _function_of(schema: Any) -> Any:
    """Of a schema that is a function's; what a validator was made of."""
    return schema["function"]["function"] if schema["type"].startswith("function-") else None


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_boolean(value: object) -> object:
    """Python's True equals 1, and so it would be one of a few whole numbers."""
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _with_null(schema: Any) -> Any:
    """Of a field with a default that takes no null of its own."""
    if schema["type"] != "default":
        return schema
    inner = schema["schema"]
    was_changed = _function_of(inner) is _default_for_null
    if was_changed or any(kind in _NULLABLE for kind in _kinds(inner)):
        return schema
    # The JSON schema does not name null: beside it each generated client would have every field in three states.
    return schema | {"schema": core_schema.no_info_before_validator_function(_default_for_null, inner)}


def _kinds(schema: Any) -> Iterator[str]:
    """What a field's own value may be, inside its validators and among the members of its union."""
    yield schema["type"]
    if _function_of(schema) is not None and "schema" in schema:
        yield from _kinds(schema["schema"])
    if schema["type"] == "union":
        for choice in schema["choices"]:
            yield from _kinds(choice[0] if isinstance(choice, tuple) else choice)


def _default_for_null(value: object) -> object:
    if value is None:
        raise PydanticUseDefault
    return value


_CHANGED = {_whole, _no_boolean, _default_for_null}
