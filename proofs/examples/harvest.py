"""Examples of every schema of the OpenAPI document, found inside real values of a few of them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator

Json = dict[str, Any]
REF: Final = "#/components/schemas/"
MOST_ITEMS: Final = 2
"""Of a list in an example: what a layer or a seed looks like is seen in two of them."""
SECRETS: Final = {("KeySecret", "key"): "gc_", ("NewWebhook", "secret"): "whsec_"}
"""What begins a secret; the rest would be taken for a real one."""


class Harvest:
    """``take`` reads a value by its schema, and keeps it and its parts under the names of their schemas."""

    def __init__(self, document: Json) -> None:
        self._schemas: Mapping[str, Json] = document["components"]["schemas"]
        self._components = {"components": document["components"]}
        self._found: dict[str, list[Any]] = defaultdict(list)

    def take(self, schema: Json, value: Any) -> None:
        """ValueError where the value is not of the schema."""
        if not self._fits(schema, value):
            message = f"{json.dumps(value)[:200]} is not what {json.dumps(schema)[:200]} says"
            raise ValueError(message)
        self._walk(schema, value)

    def best(self) -> dict[str, Any]:
        """Of each schema that was met, the value that shows most of its fields; of such the shortest."""
        return {name: max(values, key=_worth) for name, values in sorted(self._found.items())}

    def missing(self) -> list[str]:
        return sorted(set(self._schemas) - set(self._found))

    def _walk(self, schema: Json, value: Any) -> None:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(REF)
            self._keep(name, value)
            schema = self._schemas[name]
        for part, inner in self._parts(schema, value):
            self._walk(part, inner)

    def _keep(self, name: str, value: Any) -> None:
        shown = shortened(value)
        for (owner, field), beginning in SECRETS.items():
            if owner == name:
                shown |= {field: f"{beginning}…"}
        # A list that has to have a certain length is not cut.
        self._found[name].append(shown if self._fits({"$ref": REF + name}, shown) else value)

    def _parts(self, schema: Json, value: Any) -> Iterator[tuple[Json, Any]]:
        # Into each branch that fits and not the first alone: every one of them needs an example.
        choices: Iterable[Json] = schema.get("oneOf") or schema.get("anyOf") or ()
        yield from ((one, value) for one in choices if self._fits(one, value))
        if isinstance(value, dict):
            others = schema.get("additionalProperties", {})
            for name, inner in value.items():
                part = schema.get("properties", {}).get(name, others)
                yield (part if isinstance(part, dict) else {}), inner
        if isinstance(value, list):
            first = schema.get("prefixItems", ())
            items = schema.get("items", {})
            yield from ((first[at] if at < len(first) else items, inner) for at, inner in enumerate(value))

    def _fits(self, schema: Json, value: Any) -> bool:
        # The components lie beside the schema, as its references lead from the root of whatever is validated.
        return bool(Draft202012Validator(schema | self._components).is_valid(value))


def shortened(value: Any) -> Any:
    """With at most so many items in each list."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value[:MOST_ITEMS]]
    return value


def _worth(value: Any) -> tuple[int, int]:
    fields = value.values() if isinstance(value, dict) else ()
    return sum(field not in (None, [], {}) for field in fields), -len(json.dumps(value))
