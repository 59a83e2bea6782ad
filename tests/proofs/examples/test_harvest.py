"""Examples found inside real values."""

from typing import Any

import pytest

from models.specs.experiment import ExperimentRequest
from proofs.examples.harvest import REF, Harvest
from proofs.examples.scenario import EXPERIMENTS, events

NUMBER = {"type": "number"}


def of(schema: dict[str, Any], **schemas: Any) -> Harvest:
    return Harvest({"components": {"schemas": {"Root": schema, **schemas}}})


def ref(name: str) -> dict[str, str]:
    return {"$ref": REF + name}


def test_parts_of_a_value_are_examples_of_their_schemas() -> None:
    fields = {"one": ref("Part"), "many": {"type": "array", "items": ref("Item")}}
    harvest = of({"type": "object", "properties": fields}, Part=NUMBER, Item={"type": "string"}, Unseen=NUMBER)
    harvest.take(ref("Root"), {"one": 1.5, "many": ["a"]})
    assert harvest.best() == {"Item": "a", "Part": 1.5, "Root": {"one": 1.5, "many": ["a"]}}
    assert harvest.missing() == ["Unseen"]


def test_of_a_union_the_one_that_fits_is_met() -> None:
    harvest = of({"oneOf": [ref("Number"), ref("Text")]}, Number=NUMBER, Text={"type": "string"})
    harvest.take(ref("Root"), "words")
    assert harvest.best() == {"Root": "words", "Text": "words"}


def test_the_example_that_shows_most_is_chosen_and_of_such_the_shortest() -> None:
    harvest = of({"type": "object"})
    for value in ({"a": 1, "b": None}, {"a": "long", "b": []}, {"a": 1, "b": 22}, {"a": 1, "b": 2}):
        harvest.take(ref("Root"), value)
    assert harvest.best() == {"Root": {"a": 1, "b": 2}}


def test_lists_are_cut_where_they_may_be() -> None:
    harvest = of({"type": "array"}, Three={"type": "array", "minItems": 3})
    harvest.take(ref("Root"), [1, 2, 3])
    harvest.take(ref("Three"), [1, 2, 3])
    assert harvest.best() == {"Root": [1, 2], "Three": [1, 2, 3]}


def test_secrets_are_not_shown() -> None:
    harvest = of({}, KeySecret={"type": "object"})
    harvest.take(ref("KeySecret"), {"key": "gc_secret", "owner": "ada"})
    assert harvest.best() == {"KeySecret": {"key": "gc_…", "owner": "ada"}}


def test_a_value_that_is_not_of_its_schema_is_no_example() -> None:
    with pytest.raises(ValueError, match="is not what"):
        of(NUMBER).take(ref("Root"), "words")


def test_events_of_a_stream_are_read() -> None:
    stream = ': still here\n\nid: 4\nevent: run\ndata: {"a": 1}\n\nevent: end\ndata: {"reason": "ended"}\n\n'
    assert list(events(stream)) == [("run", {"a": 1}), ("end", {"reason": "ended"})]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_asked_for_is_taken(name: str) -> None:
    ExperimentRequest.model_validate(EXPERIMENTS[name])
