"""What a JSON value may be in a spec, over every field of every spec there is."""

from collections.abc import Iterator
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from models.specs.base import Spec
from models.specs.experiment import ExperimentRequest
from models.specs.moment import Moment
from models.specs.sequential import ActivationItem

MOMENT: TypeAdapter[Any] = TypeAdapter(Moment)


class Numbers(Spec):
    whole: int = Field(default=1, ge=0, le=10**6)
    real: float = 1.0
    yes: bool = True
    many: tuple[int, ...] = (1,)
    mapped: dict[str, float] = Field(default_factory=dict)
    chosen: int | None = 5


def specs(of: type[Spec] = Spec) -> Iterator[type[Spec]]:
    """Every model that a body may hold."""
    for model in of.__subclasses__():
        yield model
        yield from specs(model)


def refused(model: type[Spec], given: dict[str, Any]) -> set[object]:
    """The fields that are wrong or missing; not those whose default waits for one of these."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        problems = [problem for problem in error.errors() if problem["type"] != "default_factory_not_called"]
        return {problem["loc"][0] for problem in problems if problem["loc"]}
    return set()


# Named, so that every model there is has been imported.
@pytest.mark.parametrize("model", list(dict.fromkeys([ExperimentRequest, *specs()])))
def test_every_field_with_a_default_takes_null_but_the_kind(model: type[Spec]) -> None:
    """Whatever else may be missing beside it."""
    for name, field in model.model_fields.items():
        if name != "kind" and not field.is_required():
            assert name not in refused(model, {name: None}), name


@pytest.mark.parametrize("model", [type(Numbers()), *Spec.__subclasses__()])
def test_no_spec_reads_text_or_booleans_as_numbers(model: type[Spec]) -> None:
    """By Pydantic's own account of what was built, so that no field is forgotten."""

    def loose(schema: Any) -> Iterator[Any]:
        if isinstance(schema, dict):
            if schema.get("type") in {"int", "float", "bool"} and not schema.get("strict"):
                yield schema
            for child in schema.values():
                yield from loose(child)
        elif isinstance(schema, list | tuple):
            for child in schema:
                yield from loose(child)

    assert list(loose(model.__pydantic_core_schema__)) == []


@pytest.mark.parametrize(
    "given",
    [
        {"whole": "0"}, {"whole": True}, {"whole": 1.5}, {"real": "1"}, {"real": False}, {"yes": 1}, {"yes": "true"},
        {"many": [1, "2"]}, {"many": [True]}, {"mapped": {"a": "1"}}, {"chosen": "5"}, {"chosen": True},
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Numbers.model_validate(given)


@given(st.integers(min_value=0, max_value=10**6))
def test_json_has_one_type_of_number(whole: int) -> None:
    read = Numbers.model_validate({"whole": float(whole), "real": whole, "many": [float(whole)]})
    assert (read.whole, read.real, read.many) == (whole, float(whole), (whole,))
    assert (type(read.whole), type(read.real), type(read.many[0])) == (int, float, int)


def test_null_stands_for_a_default_where_it_means_nothing_else() -> None:
    nulls = Numbers.model_validate(dict.fromkeys(("whole", "real", "yes", "many", "mapped")))
    assert nulls == Numbers()
    assert Numbers.model_validate({"chosen": None}).chosen is None
    with pytest.raises(ValidationError):
        ActivationItem.model_validate({"kind": "activation", "function": None})


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), AssertionError("x"), TypeError("x"), KeyError("x"), ZeroDivisionError("x"), AttributeError("x"),
     OverflowError("x"), IndexError("x"), RecursionError("x"), NotImplementedError("x")],
)  # fmt: skip
def test_whatever_a_validator_raises_refuses_the_value(error: Exception) -> None:
    class Tripping(Spec):
        whole: int = 1

        @model_validator(mode="after")
        def _trip(self) -> Self:
            raise error

    class Before(Spec):
        inner: Tripping | None = None

        @model_validator(mode="before")
        @classmethod
        def _trip(cls, _: Any) -> Any:
            raise error

    for model in (Tripping, Before):
        with pytest.raises(ValidationError) as caught:
            model.model_validate({})
        assert "x" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T09:30:00Z", "2026-01-31t09:30:00z", "2026-01-31T09:30:00.123456789Z", "2026-01-31T10:30:00+01:00",
     "2026-01-31T09:30:00-00:00", "2024-02-29T00:00:00Z"],
)  # fmt: skip
def test_a_time_by_rfc_3339_is_read(text: str) -> None:
    assert MOMENT.validate_python(text).tzinfo is not None


@pytest.mark.parametrize(
    "value",
    ["2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00Z", "2026-01-01T00:00:00+0100",
     "2026-01-01T00:00:00+01", "20260101T000000Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "1767225600",
     "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00123Z", "2026-W01-1T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z",
     " 2026-01-01T00:00:00Z", 1767225600, 1767225600.5, True, None, [], {}],
)  # fmt: skip
def test_what_only_looks_like_a_time_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)
