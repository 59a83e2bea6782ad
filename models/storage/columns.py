"""Column types: a frozen value whole in one JSONB column, typed on the way out."""

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

Model = TypeVar("Model")


class PydanticColumn(TypeDecorator[Model]):
    """JSONB that holds one ``model``. Values are frozen: replace them, do not change them in place."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def __init__(self, model: Any) -> None:
        """``model``: a class, or a union of some."""
        super().__init__()
        self.model = model
        self.adapter = TypeAdapter(model)

    def process_bind_param(self, value: Model | None, dialect: Dialect) -> Any:  # noqa: ARG002 -- SQLAlchemy's signature
        return None if value is None else json.loads(self.adapter.dump_json(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> Model | None:  # noqa: ARG002
        return None if value is None else self.adapter.validate_python(value)
