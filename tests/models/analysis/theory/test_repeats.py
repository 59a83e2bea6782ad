"""Equal steps followed once give what following every step gives; and too much work is refused by a count."""

from collections.abc import Hashable
from typing import Any

import pytest
from pydantic import TypeAdapter

from models.analysis.theory.effort import Effort, TooMuchWorkError
from models.analysis.theory.node_pass import Pass
from models.analysis.theory.prediction import predict
from models.analysis.theory.propagation import propagate
from models.analysis.theory.repeats import Repeats, Unit
from models.analysis.theory.variances import Signal
from models.plan import NetworkPlan, Shape, plan_network
from models.specs.networks import NetworkSpec

SPEC: TypeAdapter[Any] = TypeAdapter(NetworkSpec)
IMAGE, SEQUENCE, VECTOR = Shape("image", (1, 12, 12)), Shape("sequence", (6, 8)), Shape("vector", (32,))
NETWORKS: list[tuple[dict[str, Any], Shape]] = [
    ({"kind": "mlp", "depth": 90, "width": 32, "activation": "tanh", "dropout": 0.1}, VECTOR),
    (
        {"kind": "mlp", "depth": 90, "width": 32, "activation": "sigmoid", "normalization": {"kind": "batch_norm"}},
        VECTOR,
    ),
    ({"kind": "mlp", "depth": 60, "width": 32, "init": {"kind": "lsuv"}, "skip": {"kind": "residual"}}, VECTOR),
    ({"kind": "residual_mlp", "blocks": 60, "width": 32, "skip": {"kind": "highway"}}, VECTOR),
    ({"kind": "residual_mlp", "blocks": 60, "width": 32, "skip": {"kind": "rezero"}}, VECTOR),
    ({"kind": "cnn", "channels": [8, 8], "layers_per_stage": 40}, IMAGE),
    ({"kind": "residual_cnn", "channels": [4, 8], "blocks_per_stage": 12, "skip": {"kind": "rezero"}}, IMAGE),
    ({"kind": "transformer", "blocks": 40, "width": 16, "norm_position": "post"}, SEQUENCE),
    ({"kind": "transformer", "blocks": 12, "width": 16, "skip": {"kind": "rezero"}}, SEQUENCE),
    ({"kind": "rnn", "cell": "relu", "width": 16, "layers": 6}, SEQUENCE),
]


class Never(Repeats):
    """Knows no step again."""

    def unit(self, kind: Hashable, signal: Signal) -> Unit | None:  # noqa: ARG002
        return None


def planned(network: dict[str, Any], shape: Shape) -> NetworkPlan:
    return plan_network(SPEC.validate_python(network), shape, 10)


@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=str)
def test_equal_steps_followed_once_are_as_if_each_was_followed(network: dict[str, Any], shape: Shape) -> None:
    plan = planned(network, shape)
    once, each = Pass(plan, 64, Effort()), Pass(plan, 64, Effort(), repeats=Never())
    once.run(1.0)
    each.run(1.0)
    assert once.levels.keys() == each.levels.keys()
    for name, (level, breaks) in each.levels.items():
        assert once.levels[name][0] == pytest.approx(level, rel=1e-12, abs=1e-12)
        assert once.levels[name][1] == breaks
    assert once.states == each.states


def test_a_settled_stack_costs_no_more_for_being_deeper() -> None:
    spent = []
    for depth in (200, 900):
        effort = Effort()
        network = {"kind": "mlp", "depth": depth, "width": 32, "activation": "tanh"}
        Pass(planned(network, VECTOR), 64, effort).run(1.0)
        spent.append(effort.spent)
    assert spent[1] == spent[0]


def test_theory_stops_at_its_limit_and_says_so() -> None:
    plan = planned({"kind": "transformer", "blocks": 30}, SEQUENCE)
    with pytest.raises(TooMuchWorkError):
        Pass(plan, 64, Effort(most=10.0)).run(1.0)
    theory = propagate(plan, 64, most=10.0)
    assert not theory.followed
    answer = predict(plan, 64, theory)
    assert answer.total_gain is None
    assert answer.gain_per_layer is None
    assert len(answer.caveats) == 1
    assert set(answer.profile) == {layer.name for layer in plan.hidden}
