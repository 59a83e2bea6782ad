"""One spec of every kind, with all its defaults: what no single experiment has."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter

from api.http.schema import UNIONS

REQUIRED: Final[dict[str, Any]] = {
    "function": "relu",
    "channels": 16,
    "width": 64,
    "units": 64,
    "blocks": 6,
    "every": 1000,
    "p": 0.1,
    "std": 0.02,
    "low": -0.1,
    "high": 0.1,
    "weight_variance": 2.0,
    "name": "wines",
    "init": {"kind": "orthogonal", "gain": 1.0},
    "optimizer": {"kind": "adam", "learning_rate": 0.001},
    "layers": [{"kind": "linear", "units": 64}, {"kind": "activation", "function": "relu"}],
}
"""What a field without a default is set to, by its name."""
EXAMPLE: Final = {"package": "clinic-example", "version": "1.0.0"}
MORE: Final[dict[str, dict[str, Any]]] = {
    "constant": {"value": 0.0},
    "learning_rate": {"value": 0.001},
    "mlp": {"depth": 20, "width": 64},
    "PluginNetworkSpec": {"name": "gated_tower", "parameters": {"depth": 8, "width": 32}} | EXAMPLE,
    "PluginDatasetSpec": {
        "name": "spirals",
        "parameters": {"cases": 600, "arms": 3},
        "facts": {"cases": 600, "shape": [2], "classes": 3},
    }
    | EXAMPLE,
}
"""What a kind alone wants, or a schema by its name."""


def every_kind() -> Iterator[tuple[str, Any]]:
    """(name of its schema, spec) of each member of each union."""
    for kinds in UNIONS.values():
        for kind, model in kinds.items():
            given = {name: REQUIRED[name] for name in _required(model) if name in REQUIRED}
            given |= {"kind": kind} | MORE.get(kind, {}) | MORE.get(model.__name__, {})
            yield model.__name__, TypeAdapter(model).validate_python(given).model_dump(mode="json")


def _required(model: Any) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required() and name != "kind"]
