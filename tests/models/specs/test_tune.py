"""The spec's ``tune``: what it fills in, and what it refuses with a reason."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.plan import expand, runs_per_variant
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec

RATES = [0.0003, 0.001, 0.003]


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "name": "tuned",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 3, "width": 8},
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "epochs": 1,
            "seeds": [0, 1],
            "tune": {"learning_rate": RATES},
            **changes,
        }
    )


def test_a_tenth_is_kept_for_validation_and_the_answer_shows_every_default() -> None:
    shown = spec().model_dump(mode="json")
    assert shown["dataset"]["validation_fraction"] == pytest.approx(0.1)
    assert shown["tune"] == {"learning_rate": RATES, "seeds": {"count": 3, "first": 1_000_000}}
    assert ExperimentSpec.model_validate(shown) == spec()
    given = spec(dataset={"kind": "digits", "validation_fraction": 0.25})
    assert given.dataset.validation_fraction == pytest.approx(0.25)
    assert spec(tune=None).dataset.validation_fraction == 0


def test_every_rate_is_tried_on_every_seed_of_tuning() -> None:
    assert runs_per_variant(spec()) == 2 + 3 * 3
    assert runs_per_variant(spec(tune=None)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tune": {"learning_rate": [0.1, 0.1]}}, "repeats one"),
        ({"tune": {"learning_rate": RATES, "seeds": [7, 7]}}, "repeats one"),
        ({"tune": {"learning_rate": [0.1]}}, "at least 2 items"),
        ({"tune": {"learning_rate": [0.0, 0.1]}}, "greater than 0"),
        ({"tune": {"learning_rate": RATES, "momentum": [0.1]}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_tuned_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"remedies": [{"kind": "learning_rate", "value": 0.1}]}, "remedies"),
        ({"dataset": {"kind": "digits", "validation_fraction": 0.0}}, "dataset.validation_fraction"),
        ({"epochs": None, "steps": 0}, "steps"),
        ({"tune": {"learning_rate": RATES, "seeds": [1, 7]}}, "tune.seeds"),
        ({"dataset": {"kind": "digits", "validation_fraction": 0.0001}}, "dataset.validation_fraction"),
    ],
)
def test_what_contradicts_tuning_is_refused_where_it_stands(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as refused:
        expand(spec(**changes))
    assert refused.value.problems[0].field == field


def test_the_rate_of_a_plan_is_the_one_that_was_chosen() -> None:
    plan = expand(spec())[0].plan
    assert plan.at_rate(0.003).conditions.startswith("sgd 0.003, batch 128")
    assert plan.conditions.startswith("sgd 0.5")
