"""The changes that mend a cause: there are some for every cause, and they fit the plan they are asked for."""

import pytest

from gradient_clinic.verdict.shapes import CAUSES, Cause
from models.analysis.suggestion.changes import CHANGES, changes_for
from models.analysis.verdict.setup import setup_of
from models.plan import Plan, expand, plan_with
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from tests.api.made import spec
from tests.networks import TREATABLE


def plan(**changes: object) -> Plan:
    return expand(ExperimentSpec.model_validate(spec(**changes) | {"remedies": []}))[0].plan


def kinds(cause: Cause, plan: Plan) -> list[str]:
    return [change.kind for change in changes_for(cause, plan, setup_of(plan))]


NO_REMEDY: set[Cause] = {"overlapping_classes", "no_gradient_cause_found"}
"""Of the data, and none."""


def test_every_cause_that_a_remedy_answers_has_changes() -> None:
    assert set(CHANGES) == set(CAUSES) - NO_REMEDY
    assert not any(kinds(cause, plan()) for cause in NO_REMEDY)


@pytest.mark.parametrize("kind", TREATABLE)
@pytest.mark.parametrize("cause", CHANGES)
def test_a_change_for_a_cause_is_one_of_the_network_or_is_refused_as_any_other(kind: str, cause: Cause) -> None:
    baseline = plan(network=TREATABLE[kind])
    for change in changes_for(cause, baseline, setup_of(baseline)):
        try:
            treated = plan_with(baseline, change)
        except SpecError:
            continue
        assert treated.remedies == (change,)


@pytest.mark.parametrize(("rate", "wanted"), [(0.02, [0.002, 0.06]), (900.0, [0.03]), (1e-323, [0.03])])
def test_rates_are_a_tenth_and_three_times_or_a_usual_one_where_they_are_far_from_it(
    rate: float, wanted: list[float]
) -> None:
    baseline = plan(optimizer={"kind": "sgd", "learning_rate": rate})
    values = [change.model_dump()["value"] for change in changes_for("learning_rate", baseline, setup_of(baseline))]
    assert values == wanted


def test_dropout_is_left_as_strong_as_it_may_be_and_hardly_any_where_no_strength_will_do() -> None:
    network = {"kind": "mlp", "width": 16, "dropout": 0.5, "activation": "selu"}
    shallow = plan(network=network | {"depth": 4})
    deep = plan(network=network | {"depth": 60, "activation": "relu"})
    strengths = [changes_for("dropout_noise", its, setup_of(its))[0].model_dump()["p"] for its in (shallow, deep)]
    assert strengths == [0.2, 0.01]


def test_gated_cells_keep_their_gates_and_others_get_some() -> None:
    network = {"kind": "rnn", "width": 8}
    assert kinds("initialisation", plan(network=network | {"cell": "lstm"})) == ["forget_bias"]
    assert kinds("initialisation", plan(network=network | {"cell": "tanh"})) == ["lstm", "irnn", "orthogonal_init"]
    assert kinds("exploding_over_time", plan(network=network | {"cell": "lstm"})) == ["forget_bias", "clip_norm"]
