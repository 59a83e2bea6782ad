"""A generator per purpose: a layer or a remedy more shifts nothing else."""

from typing import Any

import pytest
import torch

from models.plan import Plan, expand
from tests.worker.trials import plan_of, spec_of, trainer_of
from worker import networks
from worker.networks.nodes import Weights
from worker.networks.parts import Dropout
from worker.randomness import derived_seed


def test_a_seed_is_derived_alike_on_every_machine() -> None:
    assert derived_seed(0, "weights", "hidden.0") == derived_seed(0, "weights", "hidden.0")
    assert len({derived_seed(seed, purpose) for seed in range(10) for purpose in ("order", "weights")}) == 20
    assert all(0 <= derived_seed(seed) < 2**63 for seed in range(100))


def weights_of(plan: Plan) -> dict[str, torch.Tensor]:
    """Weights and biases by the name of their layer."""
    model = networks.build(plan.network, 0)
    weights = [its for its in model.modules() if isinstance(its, Weights)]
    return {
        f"{layer.name}.{name}": tensor
        for layer, its in zip(plan.layers, weights, strict=True)
        for name, tensor in its.linear.state_dict().items()
    }


def test_a_layer_more_leaves_the_weights_of_the_others() -> None:
    small, large = weights_of(plan_of({"hidden": [12, 12]})), weights_of(plan_of({"hidden": [12, 12, 12]}))
    assert len(large) == len(small) + 2
    for name, tensor in small.items():
        assert torch.equal(large[name], tensor), name


REMEDIES: list[dict[str, Any]] = [
    {"kind": "batch_norm"},
    {"kind": "activation", "function": "prelu"},
    {"kind": "l2"},
    {"kind": "clip_norm"},
    {"kind": "learning_rate", "value": 0.5},
]


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: str(remedy["kind"]))
def test_a_remedy_leaves_weights_and_data_order_as_they_were(remedy: dict[str, Any]) -> None:
    variants = expand(spec_of(remedies=[remedy]))
    assert (len(variants), variants[0].name) == (2, "baseline")
    baseline, treated = (variant.plan for variant in variants)
    assert baseline != treated
    for name, tensor in weights_of(baseline).items():
        assert torch.equal(weights_of(treated)[name], tensor), name
    batches = [trainer_of(plan).batches.of(0) for plan in (baseline, treated)]
    assert torch.equal(batches[0].x, batches[1].x)
    assert torch.equal(batches[0].y, batches[1].y)


def test_inits_of_one_family_differ_by_a_factor_only() -> None:
    one, other = (weights_of(plan_of({"init": {"kind": kind}})) for kind in ("xavier_normal", "lecun_normal"))
    ratio = one["output.weight"] / other["output.weight"]
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))


def test_dropout_of_one_layer_never_shifts_that_of_another() -> None:
    def mask(hidden: list[int]) -> torch.Tensor:
        model = networks.build(plan_of({"hidden": hidden, "dropout": 0.5}).network, 0)
        dropout = next(its for its in model.modules() if isinstance(its, Dropout))
        model(torch.randn(5, 64, dtype=torch.float64))
        masked: torch.Tensor = dropout(torch.ones(5, 12))
        return masked

    assert torch.equal(mask([12, 9]), mask([12, 9, 7]))
