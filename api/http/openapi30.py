"""The same document as OpenAPI 3.0, for generators that know no 3.1 (``/openapi-3.0.json``).

OpenAPI 3.1 takes all of JSON Schema; 3.0.3 takes a part of it and has words of its own: ``nullable``, a boolean
``exclusiveMinimum``, nothing beside ``$ref``, one schema for all items of a list, one example of a schema.
"""

from api.http.document import NULL, Json, mapped


def as_30(document: Json) -> Json:
    """``document``, of OpenAPI 3.1, in the older form."""
    changed: Json = mapped(document, lambda node: _as_30(node) if isinstance(node, dict) else node)
    return changed | {"openapi": "3.0.3"}


def _as_30(node: Json) -> Json:
    """Of a node whose children are done."""
    node.pop("propertyNames", None)  # 3.0 has no word for it, and a client can send what is right without
    for limit in ("minimum", "maximum"):
        exclusive = f"exclusive{limit.capitalize()}"
        if isinstance(node.get(exclusive), int | float) and not isinstance(node.get(exclusive), bool):
            node |= {limit: node[exclusive], exclusive: True}
    if isinstance(node.get("examples"), list):
        node["example"] = node.pop("examples")[0]
    if "prefixItems" in node:
        node["items"] = _either(node.pop("prefixItems"))
    if isinstance(node.get("anyOf"), list) and NULL in node["anyOf"]:
        kept = _either([one for one in node.pop("anyOf") if one != NULL])
        node = kept | node | {"nullable": True}
    if len(node) > 1 and isinstance(node.get("$ref"), str):
        node["allOf"] = [{"$ref": node.pop("$ref")}]
    return node


def _either(schemas: list[Json]) -> Json:
    """One of these, equal ones once."""
    unlike = [one for at, one in enumerate(schemas) if one not in schemas[:at]]
    return dict(unlike[0]) if len(unlike) == 1 else {"anyOf": unlike}
