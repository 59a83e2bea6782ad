"""The OpenAPI document in the form that code generators make good clients of.

Pydantic and FastAPI describe what is true; generators trip over how they say it. The same is said here with one schema
for each shape, a name for each union, and headers where they are used.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Change = Callable[[Any], Any]
_SCHEMAS = "#/components/schemas/"
_DATA = frozenset({"example", "examples"})
"""Keys whose values are no part of the document's own form."""
_SHAPES = frozenset({"$ref", "anyOf", "enum", "oneOf", "type"})
_NULL = {"type": "null"}
_ETAG = {"description": "Changes when the answer does.", "schema": {"type": "string"}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of an earlier answer: 304 where it is the same.",
    "schema": {"type": "string"},
}


def for_generators(document: Json, unions: Mapping[str, Collection[str]]) -> Json:
    """``document`` said anew. ``unions``: the name of each union of shapes, and the kinds among which it chooses."""
    document = _with_named_unions(_mapped(_with_one_of_each(document), _plain), unions)
    schemas = document["components"]["schemas"]
    for name in _chosen_by_kind(document):
        _require_kind(name, schemas[name])
    for name, schema in schemas.items():
        schema["title"] = name
    for operation in _operations(document):
        _say_headers(operation)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _with_one_of_each(document: Json) -> Json:
    """Pydantic names a shape that refers to itself apart for requests and for answers, though it is one.

    ValueError where it is not: what is answered could then not be sent again.
    """
    names = [name.removesuffix("-Input") for name in document["components"]["schemas"] if name.endswith("-Input")]
    references = {f"{_SCHEMAS}{name}-{mode}": _SCHEMAS + name for name in names for mode in ("Input", "Output")}
    merged: Json = _mapped(document, lambda node: references.get(node, node) if isinstance(node, str) else node)
    schemas = merged["components"]["schemas"]
    for name in names:
        schemas[name] = schemas.pop(f"{name}-Input")
        if schemas.pop(f"{name}-Output") != schemas[name]:
            message = f"{name} is described in two ways, for requests and for answers"
            raise ValueError(message)
    return merged


def _plain(node: Any) -> Any:
    """No title of a field, which would name a shape of its own; no default that is an object or null, as a client would
    have to make one; an enum of one value for ``const``, which not all know; ``oneOf`` only where a kind chooses; names
    of keys apart from their values; no null for a parameter, which is left out.
    """
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("title"), str) and "version" not in node:
        del node["title"]
    is_schema = not _SHAPES.isdisjoint(node)  # answers have a "default" too
    if is_schema and isinstance(node.get("default", 0), dict | list | None):
        node.pop("default", None)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "oneOf" in node and "discriminator" not in node:
        node["anyOf"] = node.pop("oneOf")
    if isinstance(node.get("patternProperties"), dict):
        ((pattern, values),) = node.pop("patternProperties").items()
        node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
    if "in" in node and _NULL in node.get("schema", {}).get("anyOf", ()):
        (kept,) = (one for one in node["schema"].pop("anyOf") if one != _NULL)
        node["schema"] |= kept
    return node


def _with_named_unions(document: Json, unions: Mapping[str, Collection[str]]) -> Json:
    """Each union stands once, and is referred to. Inline each place that uses it would have a type of its own."""
    names = {frozenset(kinds): name for name, kinds in unions.items()}
    found: Json = {}

    def referred(node: Any) -> Any:
        name = names.get(frozenset(_kinds(node))) if isinstance(node, dict) else None
        if name is None:
            return node
        union = {key: node.pop(key) for key in ("oneOf", "discriminator")}
        found.setdefault(name, union)
        return node | {"$ref": _SCHEMAS + name}

    named: Json = _mapped(document, referred)
    named["components"]["schemas"] |= found
    return named


def _kinds(node: Json) -> Collection[str]:
    discriminator = node.get("discriminator")
    return discriminator.get("mapping", ()) if isinstance(discriminator, dict) and "oneOf" in node else ()


def _chosen_by_kind(document: Json) -> set[str]:
    """The schemas that a discriminator chooses among."""
    chosen = (node["discriminator"]["mapping"].values() for node in _nodes(document) if _kinds(node))
    return {reference.removeprefix(_SCHEMAS) for references in chosen for reference in references}


def _require_kind(name: str, schema: Json) -> None:
    """What chooses the shape is always sent. Its title keeps generators from counting Kind, Kind2, Kind3."""
    kind = schema["properties"]["kind"]
    schema["properties"]["kind"] = {"title": f"{name}Kind", "type": "string", "enum": kind["enum"]}
    schema["required"] = ["kind", *(field for field in schema.get("required", ()) if field != "kind")]


def _say_headers(operation: Json) -> None:
    """Where a client can have the answer already, and where a new thing is."""
    answers = operation["responses"]
    if "304" in answers:
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
        for status in ("200", "304"):
            answers[status]["headers"] = {"ETag": _ETAG} | answers[status].get("headers", {})


def _operations(document: Json) -> Iterator[Json]:
    for methods in document["paths"].values():
        yield from methods.values()


def _nodes(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in inner:
        yield from _nodes(child)


def _mapped(node: Any, change: Change) -> Any:
    """A copy, changed from the leaves up."""
    if isinstance(node, dict):
        return change({key: value if key in _DATA else _mapped(value, change) for key, value in node.items()})
    if isinstance(node, list):
        return [_mapped(value, change) for value in node]
    return change(node)
