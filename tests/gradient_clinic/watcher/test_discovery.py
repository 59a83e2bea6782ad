"""One forward pass tells layers, what their h enters, what is a branch, and what is left out and why."""

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

from gradient_clinic.watcher.watch import Watch, watch
from tests.gradient_clinic.watcher.kinds import batch_of, made
from tests.gradient_clinic.watcher.test_watch import step


def passed(model: Any, *inputs: Any, optimizer: torch.optim.Optimizer | None = None, **options: Any) -> Watch:
    """A watch that has seen one step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1) if optimizer is None else optimizer
    watched = watch(model, optimizer, every=1, **options)
    torch.autograd.backward(model(*inputs).sum())
    optimizer.step()
    assert not watched.closed, watched.remarks
    return watched


def summary(watched: Watch) -> list[tuple[str, str | None, str | None, str | None]]:
    return [
        (row.name, row.role, row.activation.function if row.activation else None, row.normalization)
        for row in watched.rows
    ]


def test_a_residual_network_with_functions_has_its_stream_as_depth_axis() -> None:
    inputs, _ = batch_of("resnet", 0)
    watched = passed(made("resnet"), inputs)
    assert summary(watched) == [
        ("stem", "hidden", "tanh", None),
        ("blocks.0.first", "branch", "relu", "batch_norm"),
        ("blocks.0.second", "branch", None, None),
        ("blocks.0", "hidden", None, None),
        ("blocks.1.first", "branch", "relu", "batch_norm"),
        ("blocks.1.second", "branch", None, None),
        ("blocks.1.fit", "branch", None, None),
        ("blocks.1", "hidden", None, None),
        ("blocks.2.first", "branch", "relu", "batch_norm"),
        ("blocks.2.second", "branch", None, None),
        ("blocks.2", "hidden", None, None),
        ("head", "output", None, None),
    ]
    assert [row.name for row in watched.rows if row.resized] == ["blocks.1"]
    assert (watched.rows[0].cases, watched.rows[0].positions) == (6, 64)


def test_a_layer_whose_size_a_later_norm_takes_away_is_beside_the_axis() -> None:
    """The critic of a DCGAN normalises all layers but the first; its h is small there, and δ large."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.LeakyReLU(0.2),
        *(part for _ in range(3) for part in (nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2))),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, 1),
    )
    for its in model.modules():
        if isinstance(its, nn.Conv2d):
            nn.init.normal_(its.weight, 0.0, 0.001)
    watched = passed(model, torch.randn(16, 1, 16, 16))
    assert [(row.name, row.role) for row in watched.rows] == [
        ("0", "branch"), ("2", "hidden"), ("5", "hidden"), ("8", "hidden"), ("12", "output")
    ]  # fmt: skip
    assert watched.layers().splitlines()[0] == "0   beside   leaky_relu, the norm of a later layer takes its size away"
    found = watched.reported()
    assert found.verdict is not None
    assert found.verdict.kind == "healthy"
    assert "The untrained network alone is judged" in found.verdict.sentence


def test_a_bounded_activation_before_a_norm_keeps_its_layer_on_the_axis() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    watched = passed(model, torch.randn(16, 8))
    assert [row.role for row in watched.rows] == ["hidden", "hidden", "output"]


def test_a_layer_without_a_norm_behind_those_that_have_one_is_on_the_axis() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    watched = passed(model, torch.randn(16, 8))
    assert [row.role for row in watched.rows] == ["hidden", "hidden", "output"]


@pytest.mark.parametrize("kind", ["pre_norm", "post_norm"])
def test_a_transformer_s_axis_is_the_stream_behind_its_layers(kind: str) -> None:
    watched = passed(made(kind), batch_of(kind, 0)[0])
    assert [row.name for row in watched.rows if row.role == "hidden"] == ["encoder.layers.0", "encoder.layers.1"]
    branches = [row.name for row in watched.rows if row.role == "branch"]
    assert branches[:3] == [f"encoder.layers.0.{its}" for its in ("self_attn", "linear1", "linear2")]
    weights = [row.name for row in watched.rows if row.role is None]
    assert weights[:3] == [
        "embedding",
        *(f"encoder.layers.0.self_attn.{its}" for its in ("in_proj_weight", "out_proj.weight")),
    ]
    (head,) = [row for row in watched.rows if row.name == "head"]
    assert (head.role, head.weight, head.note) == ("output", None, "shares its weight with embedding")


class Loop(nn.Module):
    """Runs its blocks in its own forward pass: pre-norm, with a gate, a layer that is used twice, one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(8, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(4))
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.gate, self.last_norm, self.twice, self.spare = (
            nn.Linear(8, 8),
            nn.LayerNorm(8),
            nn.Linear(8, 8),
            nn.Linear(8, 8),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + F.gelu(block(norm(x)))
        x = self.last_norm(x)
        x = x * torch.sigmoid(self.gate(x))
        logits: Tensor = self.twice(torch.relu(self.twice(x)))
        return logits


def test_a_model_that_runs_its_blocks_itself_is_met_before_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gradient_clinic"):
        watched = passed(Loop(), torch.randn(4, 8))
    assert summary(watched)[:10] == [
        ("stem", "hidden", None, None),
        ("blocks.0", "branch", "gelu", None),
        ("before norms.1", "hidden", None, None),
        ("blocks.1", "branch", "gelu", None),
        ("before norms.2", "hidden", None, None),
        ("blocks.2", "branch", "gelu", None),
        ("before norms.3", "hidden", None, None),
        ("blocks.3", "branch", "gelu", None),
        ("before last_norm", "hidden", None, None),
        ("gate", "branch", "sigmoid", None),
    ]
    said = watched.layers()
    assert "used 2 times in a pass" in said
    assert "spare             weights  took no part in the pass" in said
    assert "spare took no part in the forward pass" in watched.remarks
    assert "spare.weight, spare.bias have no gradient" in watched.remarks
    assert [record.message for record in caplog.records] == watched.remarks


def test_the_depth_axis_can_be_named_and_the_rows_chosen() -> None:
    inputs = torch.randn(4, 8)
    watched = passed(Loop(), inputs, depth=["blocks.*"], layers=r"blocks\.[12]|gate")
    assert [(row.name, row.role) for row in watched.rows if row.place] == [
        ("blocks.1", "hidden"),
        ("blocks.2", "hidden"),
        ("gate", "branch"),
        ("twice", "output"),
    ]


def test_a_layer_that_the_named_axis_leaves_out_is_beside_it_and_on_no_branch() -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    lines = passed(model, torch.randn(4, 8), depth=["1", "2"]).layers().splitlines()
    assert [line.split()[1] for line in lines] == ["beside", "hidden", "hidden", "output"]


def test_a_norm_of_a_layer_s_own_is_part_of_it_and_one_that_begins_a_branch_is_not() -> None:
    plain = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 3))
    assert summary(passed(plain, torch.randn(4, 8)))[0] == ("0", "hidden", "tanh", "layer_norm")
    assert summary(passed(Loop(), torch.randn(4, 8)))[0] == ("stem", "hidden", None, None)


def test_what_is_odd_is_said_once_and_by_name() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    model[0].requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(model[4].parameters(), lr=0.1)
    watched = passed(model, torch.randn(4, 8), optimizer=optimizer)
    assert watched.remarks == [
        "0.weight, 0.bias are frozen",
        "2.weight, 2.bias are in no optimiser, and stay as they are",
    ]
    assert "no gradient comes here" in watched.layers()
    step(model, optimizer, (torch.randn(4, 8), torch.zeros(4, dtype=torch.int64)), watched)
    assert len(watched.remarks) == 2


def test_a_model_without_gradients_is_said_to_have_none() -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    model(torch.randn(4, 8))
    optimizer.step()
    assert watched.remarks == ["all parameters have no gradient"]


def test_the_forms_of_one_activation_are_one() -> None:
    class Forms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))

        def forward(self, x: Tensor) -> Tensor:
            one, two, three, four, five, last = self.layers
            x = F.leaky_relu(nn.LeakyReLU(0.2)(one(x)))  # only the first takes h
            x = two(x).tanh()
            x = F.elu_(three(x), 0.5)
            x = F.hardtanh(four(x).view(2, 2, 8)).flatten(0, 1)
            x = nn.SiLU()(five(x))
            logits: Tensor = last(x).sigmoid()
            return logits

    watched = passed(Forms(), torch.randn(4, 8))
    found = [(row.activation.function, row.activation.parameter) for row in watched.rows if row.activation]
    assert found == [("leaky_relu", 0.2), ("tanh", 0.0), ("elu", 0.5), ("hardtanh", 0.0), ("silu", 0.0)]


def test_two_losses_that_are_added_are_no_residual_stream() -> None:
    class Losses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.short, self.long, self.end = (nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.body(x))
            total: Tensor = self.short(x).square().mean() + self.end(torch.relu(self.long(x))).square().mean()
            return total

    watched = passed(Losses(), torch.randn(4, 8))
    assert [row.role for row in watched.rows] == ["hidden", "hidden", "hidden", "output"]
