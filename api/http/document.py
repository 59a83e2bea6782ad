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
NULL = {"type": "null"}
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
    document = _with_named_unions(mapped(_with_one_of_each(document), _plain), unions)
    schemas = document["components"]["schemas"]
    for name in _chosen_by_kind(document):
        _require_kind(schemas[name])
    for name, schema in schemas.items():
        # openapi-python-client names its classes by titles, and drops both of two that share one.
        schema["title"] = name
    for operation in _operations(document):
        _say_headers(operation)
    # Whatever order routes are joined in, so that the published file changes only where a schema does.
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _with_one_of_each(document: Json) -> Json:
    """Pydantic names a shape that refers to itself apart for requests and for answers, though it is one.

    ValueError where it is not: what is answered could then not be sent again.
    """
    names = [name.removesuffix("-Input") for name in document["components"]["schemas"] if name.endswith("-Input")]
    references = {f"{_SCHEMAS}{name}-{mode}": _SCHEMAS + name for name in names for mode in ("Input", "Output")}
    merged: Json = mapped(document, lambda node: references.get(node, node) if isinstance(node, str) else node)
    schemas = merged["components"]["schemas"]
    for name in names:
        schemas[name] = schemas.pop(f"{name}-Input")
        if schemas.pop(f"{name}-Output") != schemas[name]:
            message = f"{name} is described in two ways, for requests and for answers"
            raise ValueError(message)
    return merged


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        for change in (
            _no_title,
            _no_made_default,
            _no_const,
            _no_key_patterns,
            _one_word_for_unions,
            _no_null_parameter,
        ):
            change(node)
    return node


def _no_title(node: Json) -> None:
    """Of a field: it would name a shape of its own. The service keeps its title."""
    if isinstance(node.get("title"), str) and "version" not in node:
        del node["title"]


def _no_made_default(node: Json) -> None:
    """A client would have to make the object or list; the service does so anyway."""
    is_schema = not _SHAPES.isdisjoint(node)  # answers have a "default" too
    if is_schema and isinstance(node.get("default", 0), dict | list | None):
        del node["default"]


def _no_const(node: Json) -> None:
    """Which not all know: an enum of one value."""
    if "const" in node:
        node["enum"] = [node.pop("const")]


def _no_key_patterns(node: Json) -> None:
    """What keys are like apart from what their values are, so that it is a map."""
    if isinstance(node.get("patternProperties"), dict):
        ((pattern, values),) = node.pop("patternProperties").items()
        node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}


def _one_word_for_unions(node: Json) -> None:
    """openapi-generator's typescript-fetch knows lists in a oneOf alone, and lists of unions in an anyOf alone."""
    if "discriminator" not in node and (members := node.pop("oneOf", None) or node.pop("anyOf", None)):
        of_lists = any("oneOf" in one.get("items", ()) for one in members)
        node["anyOf" if of_lists or NULL in members else "oneOf"] = members


def _no_null_parameter(node: Json) -> None:
    """It is left out instead."""
    if "in" in node and NULL in node.get("schema", {}).get("anyOf", ()):
        (kept,) = (one for one in node["schema"].pop("anyOf") if one != NULL)
        node["schema"] |= kept


def _with_named_unions(document: Json, unions: Mapping[str, Collection[str]]) -> Json:
    """Each union stands once, and is referred to. Inline each place that uses it would have a type of its own."""
    # By their kinds as a set: FastAPI writes a union anew at each place that uses it, and in the order of that place.
    names = {frozenset(kinds): name for name, kinds in unions.items()}
    found: Json = {}

    def referred(node: Any) -> Any:
        name = names.get(frozenset(_kinds(node))) if isinstance(node, dict) else None
        if name is None:
            return node
        union = {key: node.pop(key) for key in ("oneOf", "discriminator")}
        found.setdefault(name, union)
        return node | {"$ref": _SCHEMAS + name}

    named: Json = mapped(document, referred)
    named["components"]["schemas"] |= found
    return named


def _kinds(node: Json) -> Collection[str]:
    discriminator = node.get("discriminator")
    return discriminator.get("mapping", ()) if isinstance(discriminator, dict) and "oneOf" in node else ()


def _chosen_by_kind(document: Json) -> set[str]:
    """The schemas that a discriminator chooses among."""
    chosen = (node["discriminator"]["mapping"].values() for node in _nodes(document) if _kinds(node))
    return {reference.removeprefix(_SCHEMAS) for references in chosen for reference in references}


def _require_kind(schema: Json) -> None:
    """What chooses the shape is always sent."""
    schema["properties"]["kind"].pop("default", None)
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


def mapped(node: Any, change: Change) -> Any:
    """A copy, changed from the leaves up; examples as they are."""
    if isinstance(node, dict):
        return change({key: value if key in _DATA else mapped(value, change) for key, value in node.items()})
    if isinstance(node, list):
        return [mapped(value, change) for value in node]
    return change(node)
