"""No data set can be asked for that fits no memory or cannot exist, and the refusal says what is allowed."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.specs.dataset import DATASETS, DatasetSpec
from models.specs.facts import MAX_NUMBERS
from models.specs.networks import NETWORKS

SPEC: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)


@pytest.mark.parametrize(
    ("asked", "per_case"),
    [
        ({"kind": "adding", "length": 1000, "cases": 120_000}, 2001),
        ({"kind": "copy_memory", "delay": 1000, "cases": 100_000}, 2040),
        ({"kind": "temporal_order", "length": 1000, "cases": 100_000}, 1001),
        ({"kind": "teacher_student", "inputs": 1024, "outputs": 1000, "cases": 100_000}, 2024),
        ({"kind": "mnist_1d", "cases": 1_000_000}, 41),
    ],
)
def test_a_set_too_large_is_refused_with_the_most_that_is_allowed(asked: dict[str, Any], per_case: int) -> None:
    with pytest.raises(ValidationError) as refused:
        SPEC.validate_python(asked)
    most = MAX_NUMBERS // per_case
    assert f"at most {most} cases of this size are allowed" in str(refused.value)
    facts = SPEC.validate_python({**asked, "cases": most}).facts
    assert facts.cases == most
    with pytest.raises(ValidationError, match="are allowed"):
        SPEC.validate_python({**asked, "cases": most + 1})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": "adding", "length": 1}, "greater than or equal to 2"),
        ({"kind": "adding", "length": 1001}, "less than or equal to 1000"),
        ({"kind": "adding", "cases": 1_000_001}, "less than or equal to 1000000"),
        ({"kind": "python_docs", "length": 7}, "greater than or equal to 8"),
        ({"kind": "python_docs", "length": 513}, "less than or equal to 512"),
        ({"kind": "teacher_student", "singular_values": []}, "at least 1 item"),
        ({"kind": "teacher_student", "singular_values": [1.0, 0.0]}, "greater than 0"),
        ({"kind": "teacher_student", "outputs": 2}, "2 outputs has at most 2 singular_values"),
        ({"kind": "teacher_student", "inputs": 12, "cases": 11}, "let cases be at least inputs"),
    ],
)
def test_a_set_that_cannot_be_is_refused_with_the_reason(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        SPEC.validate_python(asked)


# Uploaded data have no facts before someone brings them.
@pytest.mark.parametrize("kind", [kind for kind in DATASETS if kind != "uploaded"])
def test_every_set_says_what_it_is_without_a_parameter(kind: str) -> None:
    spec = DATASETS[kind]()
    assert SPEC.validate_python({"kind": kind}) == spec
    facts, about = spec.facts, spec.about
    assert (facts.form == "tokens") == (facts.vocabulary > 0)
    assert facts.licence
    assert facts.source
    assert set(about.applies_to) <= NETWORKS.keys()
