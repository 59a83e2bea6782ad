"""Optimisers against torch's plain loops, and Muon beside AdamW as one optimiser."""

import inspect
import io
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from models.plan import expand
from models.specs.optimizer import OPTIMIZERS, OptimizerSpec
from tests.networks import EVERY_KIND
from tests.worker.trials import spec_of_kind, trainer_of
from worker.begun import laid_out
from worker.optimizers import MuonBesideAdamW, build_optimizer, tensors_of

SPECS: TypeAdapter[OptimizerSpec] = TypeAdapter(OptimizerSpec)
CLASSES: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "muon": torch.optim.Muon,
}
OTHERS: list[dict[str, Any]] = [
    {"kind": "sgd", "momentum": 0.8, "nesterov": True},
    {"kind": "rmsprop", "alpha": 0.9, "eps": 1e-3, "momentum": 0.5},
    {"kind": "adam", "betas": (0.8, 0.95), "eps": 1e-4},
    {"kind": "adamw", "betas": (0.8, 0.95), "weight_decay": 0.3},
    {"kind": "nadam", "betas": (0.8, 0.95), "momentum_decay": 0.1},
    {"kind": "radam", "betas": (0.8, 0.95), "eps": 1e-4},
]


def weights() -> list[nn.Parameter]:
    """A matrix, a kernel, a bias and an output matrix; drawn, in float64."""
    random = torch.Generator().manual_seed(0)
    sizes = ((6, 4), (3, 2, 2, 2), (6,), (5, 6))
    return [nn.Parameter(torch.randn(size, generator=random, dtype=torch.float64)) for size in sizes]


def train(optimizer: torch.optim.Optimizer, held: Sequence[nn.Parameter], steps: range) -> None:
    for step in steps:
        random = torch.Generator().manual_seed(step + 1)
        for its in held:
            its.grad = torch.randn(its.shape, generator=random, dtype=torch.float64)
        optimizer.step()


@pytest.mark.parametrize("asked", [*({"kind": kind} for kind in OPTIMIZERS if kind != "muon"), *OTHERS])
def test_every_optimiser_is_torchs_plain_loop_with_the_specs_parameters(asked: dict[str, Any]) -> None:
    spec, ours, theirs = SPECS.validate_python(asked), weights(), weights()
    own = {name: value for name, value in spec if name not in {"kind", "schedule"}}
    named = {"lr" if name == "learning_rate" else name: value for name, value in own.items()}
    plain: Callable[..., torch.optim.Optimizer] = CLASSES[spec.kind]
    train(build_optimizer(spec, ours, ours[:1]), ours, range(8))
    train(plain(theirs, foreach=False, **named), theirs, range(8))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_parameters_have_torchs_names_and_defaults(kind: str) -> None:
    torchs = inspect.signature(CLASSES[kind].__init__).parameters
    for name, field in OPTIMIZERS[kind].model_fields.items():
        if name in {"kind", "schedule", "adamw_learning_rate"} or (kind, name) == ("sgd", "learning_rate"):
            continue
        assert field.default == torchs["lr" if name == "learning_rate" else name].default, name


def muon(held: Sequence[nn.Parameter], **changes: Any) -> MuonBesideAdamW:
    asked = {"kind": "muon", "learning_rate": 0.03, "adamw_learning_rate": 0.007, **changes}
    optimizer = build_optimizer(SPECS.validate_python(asked), held, held[:2])
    assert isinstance(optimizer, MuonBesideAdamW)
    return optimizer


def test_muon_takes_the_hidden_matrices_and_adamw_all_else() -> None:
    ours, theirs = weights(), weights()
    train(muon(ours), ours, range(5))
    train(torch.optim.Muon(theirs[:1], 0.03), theirs[:1], range(5))
    apart = torch.optim.AdamW(theirs[1:], 0.007, weight_decay=0.0, foreach=False)
    for step in range(5):
        random = torch.Generator().manual_seed(step + 1)
        gradients = [torch.randn(its.shape, generator=random, dtype=torch.float64) for its in theirs]
        for its, gradient in zip(theirs, gradients, strict=True):
            its.grad = gradient
        apart.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_it_is_one_optimiser_to_hooks_zeroing_and_memory() -> None:
    held, calls = weights(), []
    optimizer = muon(held)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    train(optimizer, held, range(2))
    assert calls == ["before", "after"] * 2
    assert sorted(its.numel() for its in tensors_of(optimizer) if its.numel() > 1) == [6, 6, 24, 24, 24, 30, 30]
    optimizer.zero_grad()
    assert all(its.grad is None for its in held)


def test_it_goes_on_from_a_checkpoint_bit_for_bit_and_hears_its_groups() -> None:
    whole, held = weights(), weights()
    train(muon(whole), whole, range(6))
    first = muon(held)
    train(first, held, range(3))
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = muon(held)
    second.load_state_dict(torch.load(kept, weights_only=True))
    train(second, held, range(3, 6))
    assert all(torch.equal(*pair) for pair in zip(held, whole, strict=True))
    inner = itertools.chain.from_iterable(part.param_groups for part in second.parts)
    assert all(one is other for one, other in zip(second.param_groups, inner, strict=True))


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_of_every_kind_of_network_muon_gets_hidden_matrices_only(kind: str) -> None:
    plan = expand(spec_of_kind({**EVERY_KIND[kind], "optimizer": {"kind": "muon"}}))[-1].plan
    trainer = trainer_of(plan)
    assert isinstance(trainer.optimizer, MuonBesideAdamW)
    held = {
        id(its)
        for part in trainer.optimizer.parts
        if isinstance(part, torch.optim.Muon)
        for group in part.param_groups
        for its in group["params"]
    }
    wanted = [layer.kind in {"linear", "recurrent"} for layer in plan.layers[:-1]] + [False]
    assert [id(point.weight) in held for point in laid_out(trainer.model).points()] == wanted
    assert len(held) == sum(wanted)
