"""One batch tells what is wrong before a training, and leaves everything as it was."""

import copy
import json
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

import gradient_clinic
from gradient_clinic.watcher.preflight import Preflight, preflight
from tests.gradient_clinic.watcher.kinds import KINDS, batch_of, made
from tests.gradient_clinic.watcher.test_report import WIDTH, Breaking, drawn


def looked(model: Any, **options: Any) -> Preflight:
    random = torch.Generator().manual_seed(3)
    batch = torch.randn(64, WIDTH, generator=random), torch.randint(4, (64,), generator=random)
    return preflight(model, batch, F.cross_entropy, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_as_it_was(kind: str) -> None:
    model, batch = nn.Sequential(made(kind), nn.Dropout(0.5)), batch_of(kind, 0)
    F.cross_entropy(model(batch[0]), batch[1])
    before = copy.deepcopy(model.state_dict())
    first = next(model.parameters())
    first.grad = gradient = torch.ones_like(first)
    random = torch.get_rng_state()
    found = preflight(model, batch, F.cross_entropy)
    assert all(torch.equal(its, before[name]) for name, its in model.state_dict().items())
    assert first.grad is gradient
    assert all(its.grad is None for its in list(model.parameters())[1:])
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(its._forward_hooks or its._forward_pre_hooks for its in model.modules())  # noqa: SLF001 -- is asked
    assert found.verdict is not None


def test_a_sound_network_has_no_findings() -> None:
    model = drawn(3)
    with torch.no_grad():
        model[-1].weight.mul_(0.1)  # type: ignore[operator]
    found = looked(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert found.findings == ()
    assert found.uniform_loss == pytest.approx(math.log(4.0))
    assert found.loss == pytest.approx(math.log(4.0), rel=0.1)
    assert found.verdict is not None
    assert found.verdict.trained is None
    assert "ln K is 1.39" in found.text()
    assert json.loads(found.json())["findings"] == []


def texts(found: Preflight) -> list[str]:
    return [its.text for its in found.findings]


def findings(model: Any, **options: Any) -> str:
    return "\n".join(texts(looked(model, **options)))


def test_large_weights_explode_and_are_sure_of_what_they_cannot_know() -> None:
    found = looked(drawn(8, 3.0))
    assert "times ln K: outputs are large" in texts(found)[0]
    assert "gradients start exploding" in texts(found)
    assert found.predicted_gain == pytest.approx(7 * math.log(3.0), rel=0.1)  # He's weights keep δ, each layer × 3
    assert found.verdict is not None
    assert found.verdict.at_start.total_gain.mean == pytest.approx(found.predicted_gain, abs=1.5)


CONVOLUTIONS: dict[str, Any] = {
    "plain": lambda: nn.Conv2d(64, 64, 1),
    "in groups": lambda: nn.Conv2d(64, 64, 1, groups=4),
    "transposed": lambda: nn.ConvTranspose2d(64, 64, 1, groups=4),
    "fewer channels": lambda: nn.Conv2d(64, 32, 1),
    "smaller maps": lambda: nn.Conv2d(64, 64, 2, stride=2),
    "larger maps": lambda: nn.ConvTranspose2d(64, 64, 2, stride=2),
    "pooled": lambda: nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(64, 64, 1)),
}


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_theory_knows_convolutions_of_any_form(form: str) -> None:
    """Two increments of a linear network, from maps to a vector: what is measured scatters as random weights do."""
    with torch.random.fork_rng():
        torch.manual_seed(4)  # noqa: TID251 -- torch's own layers draw from no other generator
        model = nn.Sequential(
            nn.Conv2d(3, 64, 1), CONVOLUTIONS[form](), nn.Flatten(), nn.LazyLinear(64), nn.Linear(64, 4)
        )
        images = torch.randn(8, 3, 8, 8), torch.randint(4, (8,))
        model(images[0])
    found = preflight(model, images, F.cross_entropy)
    assert found.predicted_gain is not None
    assert found.verdict is not None
    assert found.verdict.at_start.total_gain.mean == pytest.approx(found.predicted_gain, abs=0.15)


def test_saturation_of_the_untrained_network_is_named() -> None:
    assert "saturated fraction of 2 is 0.9" in findings(drawn(2, 20.0, nn.Tanh))


def test_a_value_that_is_not_finite_is_located() -> None:
    model = drawn(3)
    model.insert(2, Breaking(at=0))
    found = looked(model)
    assert "the loss is nan" in texts(found)
    assert "the first value that is not finite is met in 3, forward" in texts(found)


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def test_a_cut_graph_shows_what_has_no_gradient() -> None:
    model = drawn(3)
    model.insert(4, Cut())
    assert "0.weight, 0.bias, 2.weight, 2.bias have no gradient" in findings(model)
    model.append(Cut())
    assert "no gradient of the loss reaches the model" in findings(model)
    assert "all parameters have no gradient" in findings(model)


def test_a_parameter_that_the_optimiser_misses_is_named() -> None:
    model = drawn(1)
    assert "2.weight, 2.bias are in no optimiser" in findings(model, optimizer=torch.optim.SGD(model[0].parameters()))


def test_an_error_of_the_model_is_its_user_s() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        preflight(drawn(1), (torch.randn(2, 3), torch.zeros(2, dtype=torch.int64)), F.cross_entropy)


def test_the_package_offers_them_by_name() -> None:
    assert gradient_clinic.preflight is preflight
    with pytest.raises(AttributeError, match="no attribute 'prefight'"):
        gradient_clinic.prefight  # noqa: B018 -- a name that is not there
