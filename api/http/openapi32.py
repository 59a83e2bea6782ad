"""The same document as OpenAPI 3.2, for those who check answers by it (``/openapi-3.2.json``, decision 43).

3.1 has no word for what a stream consists of. Generators that read streams take its ``schema`` for the data of an
event, checkers for the event; 3.2 says ``itemSchema``, and means the event with its fields.
"""

from api.http.document import Json, mapped
from api.http.sse import EventStream

_DATA = {"type": "string", "contentMediaType": "application/json"}


def as_32(document: Json) -> Json:
    """``document``, of OpenAPI 3.1, in the newer form."""
    changed: Json = mapped(document, lambda node: _as_32(node) if isinstance(node, dict) else node)
    return changed | {"openapi": "3.2.0"}


def _as_32(node: Json) -> Json:
    stream = node.get(EventStream.media_type)
    if isinstance(stream, dict) and "schema" in stream:
        shapes = stream.pop("schema")
        events = [_event(shape["$ref"]) for shape in shapes.get("oneOf", [shapes])]
        stream["itemSchema"] = events[0] if len(events) == 1 else {"oneOf": events}
    return node


def _event(shape: str) -> Json:
    """``RunEvent`` is the data of the event ``run``. The last one, and those of a list, have no ``id``."""
    name = shape.rpartition("/")[2].removesuffix("Event").lower()
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string"},
            "event": {"const": name},
            "data": {**_DATA, "contentSchema": {"$ref": shape}},
        },
    }
