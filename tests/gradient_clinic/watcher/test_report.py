"""What a watch says of networks that were broken on purpose, and of one that was not."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

from gradient_clinic.verdict.shapes import CAUSES, Verdict
from gradient_clinic.watcher.answers import USUAL
from gradient_clinic.watcher.report import RECALL, Report
from gradient_clinic.watcher.watch import Watch, watch
from tests.processes import ROOT

WIDTH = 32


def drawn(depth: int, scale: float = 1.0, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A network of He's variance, times ``scale``²."""
    random = torch.Generator().manual_seed(1)
    parts = [part for _ in range(depth) for part in (nn.Linear(WIDTH, WIDTH), activation())]
    model = nn.Sequential(*parts, nn.Linear(WIDTH, 4))
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0.0, scale * math.sqrt(2.0 / WIDTH), generator=random)
                assert layer.bias is not None
                layer.bias.zero_()
    return model


def trained(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, steps: int = 80, *, told: bool = True, **options: Any
) -> Watch:
    """On labels that a linear map decides."""
    random = torch.Generator().manual_seed(2)
    right = torch.randn(WIDTH, 4, generator=random)
    watched = watch(model, optimizer, **{"every": 1, **options})
    for _ in range(steps):
        inputs = torch.randn(64, WIDTH, generator=random)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), (inputs @ right).argmax(1))
        torch.autograd.backward(watched.loss(loss) if told else loss)
        optimizer.step()
    assert not watched.closed
    return watched


def sgd(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate)


def adam(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=rate)


Case = tuple[nn.Sequential, Callable[[nn.Module, float], torch.optim.Optimizer], float]
BROKEN: dict[str, tuple[Callable[[], Case], set[str], str]] = {
    "init × 10": (lambda: (drawn(12, 10.0), sgd, 0.01), {"exploding"}, "initialisation"),
    "init × 0.1": (lambda: (drawn(12, 0.1), sgd, 0.01), {"vanishing"}, "initialisation"),
    "rate × 100": (lambda: (drawn(6), sgd, 10.0), {"diverged", "exploding", "stalled"}, "learning_rate"),
    "sigmoid": (lambda: (drawn(12, activation=nn.Sigmoid), sgd, 0.1), {"vanishing"}, "saturating_activation"),
}


def test_maps_that_shrink_hide_no_initialisation() -> None:
    convolutions = [
        part
        for i in range(8)
        for part in (nn.Conv2d(8 if i else 1, 8, 3, padding=1), nn.ReLU(), *[nn.MaxPool2d(2)] * (i == 3))
    ]
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 4)), *convolutions, nn.Flatten(), nn.Linear(8 * 8, 4))
    with torch.no_grad():
        for its in model.parameters():
            its.mul_(0.2)
    found = trained(model, sgd(model, 0.01), 20).reported()
    assert found.verdict is not None
    assert found.verdict.kind == "vanishing"
    assert "initialisation" in found.verdict.causes


@pytest.mark.parametrize("name", BROKEN)
def test_what_was_broken_is_named(name: str) -> None:
    case, kinds, cause = BROKEN[name]
    model, optimizer, rate = case()
    found = trained(model, optimizer(model, rate)).reported()
    assert found.verdict is not None
    assert found.verdict.kind in kinds
    assert cause in found.verdict.causes
    assert found.early is not None
    assert found.early.alarm


def test_every_cause_has_what_usually_answers_it() -> None:
    assert USUAL.keys() == set(CAUSES)
    model = drawn(12, activation=nn.Sigmoid)
    said = trained(model, sgd(model, 0.1)).report().splitlines()[1]
    assert said.startswith("Worth trying: draw the weights")
    assert "use ReLU" in said


def test_a_rate_that_is_too_low_is_answered_by_a_higher_one() -> None:
    model = drawn(3)
    said = trained(model, sgd(model, 1e-6)).report()
    assert "Worth trying: use a higher learning rate." in said


def test_who_has_left_chance_without_a_cause_is_not_sent_to_the_data() -> None:
    """As few records as these show no fall at the end."""
    model = drawn(3)
    found = trained(model, sgd(model, 0.1), 24).reported()
    assert found.verdict is not None
    assert found.verdict.causes == ("no_gradient_cause_found",)
    assert "Worth trying: train for more steps" in found.text()


def test_the_rate_of_a_report_is_the_one_that_a_schedule_began_with() -> None:
    model = drawn(3)
    optimizer = sgd(model, 0.01)
    watched = trained(model, optimizer, 5)
    optimizer.param_groups[0]["lr"] = 0.0
    assert "SGD 0.01, 5 steps so far" in watched.report()


def test_a_network_that_trains_is_healthy() -> None:
    model = drawn(3)
    found = trained(model, adam(model, 0.01), 200).reported()
    assert found.verdict is not None
    assert (found.verdict.kind, found.verdict.trained, found.verdict.causes) == ("healthy", "yes", ())
    assert found.early is not None
    assert not found.early.alarm
    assert found.first_nonfinite is None
    assert "Adam 0.01, 200 steps so far" in found.text()
    assert "Worth trying" not in found.text()
    assert "it found 92 % of those that failed, by step 50, and alarmed at 1 % of the others." in found.text()


def test_a_dead_branch_is_dead() -> None:
    model = drawn(3)
    with torch.no_grad():
        model[2].bias.fill_(-100.0)  # type: ignore[operator]
    found = trained(model, adam(model, 0.001)).reported()
    assert found.verdict is not None
    assert found.verdict.kind in {"dead", "vanishing"}
    assert any(item.signal == "dead_fraction" and item.layers == ("2",) for item in found.verdict.evidence)


@pytest.mark.parametrize(("silenced", "said"), [("dead", "all units"), ("cut", "no gradient has come"), ("", None)])
def test_a_branch_that_gives_or_learns_nothing_is_told_though_the_network_trains(
    silenced: str, said: str | None
) -> None:
    """A residual network trains around it."""
    blocks = [Residual() for _ in range(3)]
    with torch.no_grad():
        if silenced == "dead":
            blocks[1].first.bias.fill_(-100.0)
        elif silenced == "cut":
            blocks[1].second.weight.requires_grad_(False).zero_()  # noqa: FBT003 -- torch's own
    model = nn.Sequential(*blocks, nn.Linear(WIDTH, 4))
    found = trained(model, adam(model, 0.01)).reported()
    told = [remark for remark in found.remarks if "on a branch" in remark]
    assert [remark for remark in told if "0.first" in remark or "2.first" in remark] == []
    assert said is None or any(said in remark and "1.first" in remark for remark in told)
    assert said is not None or not told
    assert said is None or f"Note: {told[0]}." in found.text()


def test_a_dead_layer_whose_size_a_later_norm_takes_away_is_told_as_beside_the_axis() -> None:
    """It is on no branch: everything passes through it."""
    model = drawn(3)
    model.insert(3, nn.BatchNorm1d(WIDTH))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # type: ignore[operator]
    watched = trained(model, adam(model, 0.01), 20)
    assert {row.name: row.role for row in watched.rows}["0"] == "branch"
    assert "all units of 0, which is beside the depth axis, are dead" in watched.reported().remarks


@pytest.mark.parametrize(("cell", "bears"), [(nn.RNN, 1.0), (nn.LSTM, 3.0), (nn.GRU, 3.0)])
@pytest.mark.parametrize("times", [1.0, 20.0])
def test_weights_that_hold_the_state_of_a_recurrent_layer_flat_are_the_cause(
    cell: type[nn.RNNBase], bears: float, times: float
) -> None:
    """A word's tag hangs on the word before it. Torch draws weights of √σw² = 1/√3."""
    found = tagged(cell, times, 0.01, 20)
    assert found is not None
    assert times == 1.0 or found.kind != "healthy"
    assert ("initialisation" in found.causes) == (times > 1.0)
    if times > 1.0:
        gain = times / math.sqrt(3.0) / (1.0 if cell is nn.RNN else 1.5)
        shown = next(item for item in found.evidence if item.statistic == "gain_beside_critical")
        assert shown.value == pytest.approx(gain, rel=0.05)
        assert bears < times / math.sqrt(3.0)


@pytest.mark.parametrize(("rate", "cause"), [(0.01, "initialisation"), (1.0, "learning_rate")])
def test_steps_that_are_long_beside_small_weights_alone_are_not_the_rates_fault(rate: float, cause: str) -> None:
    """At 0.01 this learns, once its weights have grown, after 300 steps; at 1.0 it never does."""
    found = tagged(nn.LSTM, 0.1, rate, 60)
    assert found is not None
    assert found.causes == (cause,)


@pytest.mark.parametrize(
    ("steps", "rate", "cause"), [(40, 0.003, "too_few_steps"), (80, 0.003, None), (40, 0.1, "learning_rate")]
)
def test_a_transformer_whose_small_weights_only_have_to_grow_is_told_from_a_rate_that_is_too_high(
    steps: int, rate: float, cause: str | None
) -> None:
    """A tenth of torch's weights."""
    with torch.random.fork_rng():
        torch.manual_seed(5)  # noqa: TID251 -- its layers draw from no other generator
        model = Continuing()
    with torch.no_grad():
        for its in model.parameters():
            its.mul_(0.1 if its.dim() > 1 else 1.0)
    random = torch.Generator().manual_seed(3)
    watched = watch(model, adam(model, rate), every=1)
    for _ in range(steps):
        first, by = torch.randint(32, (2, 16, 1), generator=random)
        words = (first + by % 4 * torch.arange(17)) % 32
        watched.optimizers[0].zero_grad()
        loss = F.cross_entropy(model(words[:, :-1]).flatten(0, 1), words[:, 1:].flatten())
        torch.autograd.backward(watched.loss(loss))
        watched.optimizers[0].step()
    found = watched.reported().verdict
    assert found is not None
    assert found.causes == (() if cause is None else (cause,))
    assert (found.kind == "healthy") == (cause is None)
    if cause == "too_few_steps":
        (shown,) = [item for item in found.evidence if item.statistic == "gain_of_branches_at_start"]
        assert shown.value == pytest.approx(0.1 / math.sqrt(3.0), rel=0.05)
        assert shown.layers[0] == "blocks.layers.0.linear1"


class Continuing(nn.Module):
    """Words that go up by a step of their own; two blocks with norms before their branches."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(32, 32), nn.Embedding(16, 32)
        layer = nn.TransformerEncoderLayer(32, 2, 64, 0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, nn.LayerNorm(32), enable_nested_tensor=False)
        self.next = nn.Linear(32, 32)

    def forward(self, words: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(16)
        found: Tensor = self.next(self.blocks(self.words(words) + self.places(torch.arange(16)), mask, is_causal=True))
        return found


def tagged(cell: type[nn.RNNBase], times: float, rate: float, steps: int) -> Verdict | None:
    """Of a tagger under Adam whose recurrent weights are ``times`` torch's."""
    random = torch.Generator().manual_seed(3)
    model = Tagging(cell)
    for its in model.cell.parameters():
        with torch.no_grad():
            its.uniform_(-0.125, 0.125, generator=random).mul_(times if its.dim() > 1 else 1.0)
    watched = watch(model, adam(model, rate), every=1)
    for _ in range(steps):
        words = torch.randint(64, (16, 17), generator=random)
        watched.optimizers[0].zero_grad()
        loss = F.cross_entropy(model(words[:, 1:]), ((words[:, :-1] + words[:, 1:]) % 4).flatten())
        torch.autograd.backward(watched.loss(loss))
        watched.optimizers[0].step()
    return watched.reported().verdict


class Tagging(nn.Module):
    def __init__(self, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(4)
        self.words = nn.Embedding(64, 32, _weight=torch.randn(64, 32, generator=random))
        self.cell = cell(32, 64, num_layers=2, batch_first=True)  # type: ignore[arg-type, call-arg]
        self.tags = nn.Linear(64, 4)

    def forward(self, words: Tensor) -> Tensor:
        tags: Tensor = self.tags(self.cell(self.words(words))[0]).flatten(0, 1)
        return tags


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = x + self.second(F.relu(self.first(x)))
        return grown


class Breaking(nn.Module):
    """Passes on what it is given, and in one pass NaN."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.passes, self.at = 0, at

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return x * math.nan if self.passes == self.at + 1 else x


def test_what_broke_first_is_told_with_the_twenty_records_before_it() -> None:
    model = drawn(3)
    model.insert(4, Breaking(at=30))
    found = trained(model, sgd(model, 0.01), 40).reported()
    assert found.first_nonfinite is not None
    assert (found.first_nonfinite.step, found.first_nonfinite.layer, found.first_nonfinite.where) == (
        30,
        "5",
        "forward",
    )
    assert [moment.step for moment in found.before_it] == list(range(10, 30))
    assert all(moment.loss is not None and math.isfinite(moment.loss) for moment in found.before_it)
    assert found.verdict is not None
    assert found.verdict.kind == "diverged"
    assert "First non-finite value: step 30, 5, forward" in found.text()


def test_without_a_loss_gradients_are_judged_and_training_is_not() -> None:
    model = drawn(12, 0.1)
    found = trained(model, sgd(model, 0.01), told=False).reported()
    assert found.verdict is not None
    assert (found.verdict.kind, found.verdict.trained, found.early) == ("vanishing", None, None)
    assert found.at_end is not None
    assert found.at_end.kind == "vanishing"
    assert any("no loss was told" in remark for remark in found.remarks)


def test_a_step_in_ten_is_enough_for_the_verdict() -> None:
    model = drawn(12, 0.1)
    found = trained(model, sgd(model, 0.01), 100, every=10).reported()
    assert found.verdict is not None
    assert (found.verdict.kind, found.recorded, found.steps) == ("vanishing", 10, 100)


def test_the_report_is_json_without_a_number_that_is_not_finite() -> None:
    model = drawn(3)
    model.insert(4, Breaking(at=5))
    watched = trained(model, sgd(model, 0.01), 8)
    said = json.loads(watched.report(format="json"), parse_constant=pytest.fail)
    assert said.keys() == {field.name for field in fields(Report)}
    assert said["verdict"]["kind"] == "diverged"
    assert said["first_nonfinite"] == {"step": 5, "layer": "5", "where": "forward"}


def test_before_the_first_step_there_is_nothing_to_say() -> None:
    model = drawn(3)
    watched = watch(model, sgd(model, 0.01))
    assert watched.reported().verdict is None
    assert watched.report().endswith("0 steps, 0 recorded; watching cost 0.0 %.")
    assert watched.layers().startswith("nothing yet")


@pytest.mark.parametrize(("every", "first"), [("2%", 51), (10, 1), (1, 60)])
def test_what_the_first_steps_have_cost_is_told_where_each_has_a_record_and_later_ones_have_not(
    every: float | str, first: int
) -> None:
    """A record that is as dear as this leaves a share none soon behind them."""
    model = drawn(3)
    found = trained(model, sgd(model, 0.01), 60, every=every).reported()
    assert found.first_steps == first
    assert 0.0 < found.first_cost <= found.cost
    told = re.search(
        r"([\d.]+) % in the first 51 steps, which are all recorded, and ([\d.]+) % behind them", found.text()
    )
    assert (told is None) == (every != "2%")
    if told is not None:
        assert float(told[1]) + float(told[2]) == pytest.approx(100.0 * found.cost, abs=0.11)


def test_the_recall_of_the_early_reading_is_that_of_its_proof() -> None:
    text = (ROOT / "docs" / "science.md").read_text().partition("### Held out")[2]
    (row,) = re.findall(r"(?m)^\| \*\*ours\*\* \| (.+) \| .+ \|$", text.partition("###")[0])
    cells = [tuple(float(its) for its in cell.split("/")) for cell in row.split(" | ")]
    assert [RECALL[step] for step in (0, 10, 50)] == cells
