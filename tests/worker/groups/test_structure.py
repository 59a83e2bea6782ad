"""Which runs may be one group: those that differ in numbers alone, and that torch's loops treat alike together."""

from typing import Any

import pytest

from models.plan import expand
from tests.networks import EVERY_KIND
from tests.worker.trials import plan_of, spec_of_kind
from worker.groups.group import SharedClock
from worker.groups.structure import structure_of

NETWORK: dict[str, Any] = {"hidden": [20, 20]}
USUAL: dict[str, Any] = {"steps": 6, "batch_size": 32}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"kind": "sgd", "learning_rate": 0.5}},
        {"remedies": [{"kind": "orthogonal_init"}]},
        {"remedies": [{"kind": "clip_norm", "max_norm": 1.0}]},
        {"seeds": [7]},
    ],
)
def test_numbers_are_no_part_of_it(changes: dict[str, Any]) -> None:
    assert structure_of(plan_of(NETWORK, **USUAL, **changes)) == structure_of(plan_of(NETWORK, **USUAL))


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ({"hidden": [20, 24]}, {}),
        ({"hidden": [20, 20, 20]}, {}),
        ({"activation": "tanh"}, {}),
        ({"dropout": 0.1}, {}),
        ({"normalization": {"kind": "batch_norm"}}, {}),
        ({"skip": {"kind": "residual"}}, {}),
        ({}, {"steps": 7}),
        ({}, {"batch_size": 64}),
        ({}, {"trace": {"every": 2}}),
        ({}, {"dataset": {"kind": "digits", "test_fraction": 0.3}}),
    ],
)
def test_what_a_step_is_made_of_is(network: dict[str, Any], changes: dict[str, Any]) -> None:
    other = structure_of(plan_of({**NETWORK, **network}, **{**USUAL, **changes}))
    assert other is not None
    assert other != structure_of(plan_of(NETWORK, **USUAL))


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 30},  # 30 · 10 logits leave a rest that torch's loops take one by one
        {"steps": 0},
        {"trace": {"budget": 0.1}},
        {"drop_last": False, "epochs": 1},
        {"remedies": [{"kind": "mixed_precision"}]},
    ],
)
def test_what_must_be_trained_alone_has_none(changes: dict[str, Any]) -> None:
    asked = {**USUAL, **changes}
    if "epochs" in asked:
        del asked["steps"]
    assert structure_of(plan_of(NETWORK, **asked)) is None


@pytest.mark.parametrize("kind", sorted(EVERY_KIND.keys() - {"mlp", "residual_mlp"}))
def test_other_networks_have_none(kind: str) -> None:
    plan = expand(spec_of_kind(EVERY_KIND[kind], batch_size=32))[0].plan
    assert structure_of(plan) is None


def test_code_of_others_has_none() -> None:
    plugin = {"kind": "plugin", "name": "theirs", "package": "theirs", "version": "1.0.0"}
    spec = spec_of_kind({"network": plugin}, batch_size=32)
    assert structure_of(expand(spec)[0].plan) is None


def test_time_is_shared_by_those_that_are_there() -> None:
    hours = iter([0.0, 6.0, 8.0, 12.0])
    clock = SharedClock(3, lambda: next(hours))
    assert clock.read() == 2.0
    clock.shared_by(2)  # at 8, when the third part of two hours has gone by
    assert clock.read() == pytest.approx(2.0 + 2.0 / 3.0 + 2.0)
