"""Column types: a frozen Pydantic value whole in one JSONB column, typed on the way out."""

from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

Model = TypeVar("Model", bound=BaseModel)


class PydanticColumn(TypeDecorator[Model]):
    """JSONB that holds one ``model``. Values are frozen: replace them, do not change them in place."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def __init__(self, model: type[Model]) -> None:
        super().__init__()
        self.model = model

    def process_bind_param(self, value: Model | None, dialect: Dialect) -> Any:  # noqa: ARG002 -- SQLAlchemy's signature
        return None if value is None else value.model_dump(mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> Model | None:  # noqa: ARG002
        return None if value is None else self.model.model_validate(value)
