"""What every spec shares: frozen, no unknown keys, no NaN; and what the catalogue says of a kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from models.specs.strict import make_strict

EVERY_NETWORK = ("mlp", "residual_mlp", "cnn", "residual_cnn", "rnn", "transformer", "sequential")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The catalogue's text of one kind. ``treats`` are kinds and causes of verdicts."""

    title: str
    formula: str
    paper: str
    fails_when: str
    treats: tuple[str, ...] = ()
    applies_to: tuple[str, ...] = EVERY_NETWORK


class Spec(BaseModel):
    """A part of what a client asks for. Frozen; an unknown key is an error, never ignored; ``strict.py`` says what the
    values may be.
    """

    about: ClassVar[About]
    """Of every class that has a ``kind``."""
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        # A class that was met before comes as a reference; what it refers to is changed.
        make_strict(handler.resolve_ref_schema(schema))
        return schema


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a spec: where, what was given, why not, and what would be allowed."""

    field: str
    value: object
    message: str
    allowed: object = None


class SpecError(ValueError):
    """A spec that is well formed and cannot be: remedies that contradict, a batch larger than the data."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems


def by_kind(union: Any) -> dict[str, Any]:
    """The classes of ``Annotated[A | B | …, Field(discriminator="kind")]`` by their kind, in the union's order."""
    classes: tuple[type[Spec], ...] = get_args(get_args(union)[0])
    return {kind: spec for spec in classes for kind in get_args(spec.model_fields["kind"].annotation)}


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """What a dumped spec says, by dotted name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
