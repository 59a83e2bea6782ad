"""Bodies as their JSON schema describes them, and such as are wrong in a place: strategies for Hypothesis."""

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]
Of = Callable[[Json], Strategy]
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 1, 1.0, 0.5, 1e-300, 1e308, 2**31, 2**63, 10**30, "0", "", "relu", "x" * 300, [], {}, [[]]]
    ),
    st.sampled_from([{"kind": "elu"}, {"kind": 5}, {"kind": "linear"}, [None], ["1"], {"": 0}]),
)
MOSTLY = st.sampled_from([True] * 5 + [False])
MOST_ITEMS = 3


def bodies(schema: Json) -> Strategy:
    """Of the model that the schema is of."""
    definitions = schema.get("$defs", {})

    @cache  # each is made once, however often and how deep in one another they are named
    def named(name: str) -> Strategy:
        return st.deferred(lambda: of(definitions[name]))

    def of(part: Json) -> Strategy:
        if "$ref" in part:
            return named(part["$ref"].rsplit("/", 1)[1])
        if choices := part.get("oneOf") or part.get("anyOf"):
            return st.one_of(*map(of, choices))
        return _simple(part, of)

    return of(schema)


def _simple(part: Json, of: Of) -> Strategy:
    if "const" in part or "enum" in part:
        return st.sampled_from(part.get("enum", [part.get("const")]))
    return {
        "object": lambda: _objects(part, of),
        "array": lambda: _arrays(part, of),
        "integer": lambda: _numbers(part, st.integers, 1),
        "number": lambda: _numbers(part, st.floats, 0.5),
        "boolean": st.booleans,
        "null": st.none,
    }.get(part.get("type", ""), lambda: st.sampled_from(["a", "b", "layer.1", "2999-01-01T00:00:00Z"]))()


def _objects(part: Json, of: Of) -> Strategy:
    properties, required = part.get("properties", {}), part.get("required", [])
    if not properties:
        values = part.get("additionalProperties", {})
        return st.dictionaries(st.sampled_from(["a", "b"]), of({} if values is True else values), max_size=2)
    fields = {name: _mostly(of(one)) for name, one in properties.items()}
    kinds = {name: of(one) for name, one in properties.items() if "const" in one}
    fields |= kinds
    needed = {name: fields[name] for name in (*required, *kinds)}
    return st.fixed_dictionaries(needed, optional={name: its for name, its in fields.items() if name not in needed})


def _mostly(right: Strategy) -> Strategy:
    """By a draw of its own: ``one_of`` would give each of its branches the same share."""
    return MOSTLY.flatmap(lambda chosen: right if chosen else WRONG)


def _arrays(part: Json, of: Of) -> Strategy:
    if "prefixItems" in part:
        return st.tuples(*map(of, part["prefixItems"])).map(list)
    least = part.get("minItems", 0)
    return st.lists(of(part.get("items", {})), min_size=least, max_size=max(least, MOST_ITEMS))


def _numbers(part: Json, among: Callable[[Any, Any], Strategy], beyond: float) -> Strategy:
    """Small ones, so that what is planned is small; and such as lie beyond what is allowed."""
    low: Any = part.get("minimum", part.get("exclusiveMinimum", 0))
    high: Any = part.get("maximum", part.get("exclusiveMaximum", 10**6))
    return st.one_of(among(low, min(high, low + 8)), st.sampled_from([low, low - beyond, high + beyond]))
