"""A watch changes nothing: not a bit of the training, not a hook that stays, and no error of its own comes through."""

import copy
import gc
import io
import logging
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

from gradient_clinic.watcher.flow import Follower
from gradient_clinic.watcher.listener import Listener
from gradient_clinic.watcher.watch import Watch, watch, watching
from tests.gradient_clinic.watcher.kinds import KINDS, batch_of, made
from tests.gradient_clinic.watcher.test_watch import step

WAYS: dict[str, Any] = {"none": None, "all": {"every": 1}, "weights": {"every": 2, "signals": "weights"}, "share": {}}


def trained(kind: str, how: dict[str, Any] | None, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Losses and weights of a training with dropout, whose masks are drawn in the order of the passes."""
    model = nn.Sequential(made(kind, dtype), nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = None if how is None else watch(model, optimizer, **how)
    with torch.random.fork_rng():
        torch.manual_seed(5)  # noqa: TID251 -- dropout draws from no other generator
        losses = [step(model, optimizer, batch_of(kind, number, dtype), watched) for number in range(4)]
    if watched is not None:
        assert watched.records.count > 1
        assert not watched.closed
    return [*losses, *model.state_dict().values()]


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same_bit_by_bit(kind: str) -> None:
    plain, *watched = (trained(kind, how) for how in WAYS.values())
    for its in watched:
        assert all(torch.equal(one, other) for one, other in zip(plain, its, strict=True))


def followed() -> bool:
    """Whether a mode of ours is left on."""
    modes: Any = torch.overrides._get_current_function_mode_stack  # noqa: SLF001 -- no public name
    return bool(modes())


def hooks_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    of_modules = sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)
    of_steps = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)  # noqa: SLF001 -- no other way
    return of_modules + sum(len(its) for its in of_steps)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_closed_watch_leaves_no_hook_and_keeps_its_records(steps: int) -> None:
    model = made("resnet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watching(model, optimizer, every=1) as watched:
        for number in range(steps):
            step(model, optimizer, batch_of("resnet", number), watched)
        assert hooks_of(model, optimizer) > 2
    assert hooks_of(model, optimizer) == 0
    watched.close()
    watched.detach()
    assert watched.records.count == steps
    step(model, optimizer, batch_of("resnet", 9), watched)
    assert watched.steps == watched.records.count == steps
    assert "recorded" in watched.report()


def test_what_is_overwritten_or_copied_in_mid_training_is_no_part_of_the_watch() -> None:
    model = made("resnet")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    step(model, optimizer, batch_of("resnet", 0), watched)
    averaged = copy.deepcopy(model)
    kept = io.BytesIO()
    pickle.dump(model, kept)
    averaged(batch_of("resnet", 1)[0])
    pickle.loads(kept.getvalue())(batch_of("resnet", 1)[0])
    step(model, optimizer, batch_of("resnet", 1), watched)
    assert watched.records.count == 2
    assert not watched.closed


def test_a_pass_that_fails_fails_as_before_and_the_next_is_followed() -> None:
    class Refusing(nn.Sequential):
        refuses = True

        def forward(self, x: Tensor) -> Any:
            x = self[0](x)
            if self.refuses:
                raise ValueError("no such batch")
            return self[1](x)

    model = Refusing(nn.Linear(8, 8), nn.Linear(8, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    with pytest.raises(ValueError, match="no such batch"):
        model(batch_of("mlp", 0)[0])
    assert not followed()
    model.refuses = False
    step(model, optimizer, batch_of("mlp", 0), watched)
    assert [row.name for row in watched.rows] == ["0", "1"]


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("broken on purpose")


PLACES = {
    Follower: ["begin", "_function", "_overwritten", "_leave", "seen"],
    Listener: ["give", "start", "_see", "settle", "read"],
    Watch: ["_take_loss", "_end_step"],
}


@pytest.mark.parametrize(("where", "what"), [(where, what) for where, names in PLACES.items() for what in names])
def test_an_error_of_its_own_is_logged_once_and_ends_it(
    where: type, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = trained("resnet", None)
    monkeypatch.setattr(where, what, fails)
    model = nn.Sequential(made("resnet", torch.float32), nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = watch(model, optimizer, every=1)
    with torch.random.fork_rng(), caplog.at_level(logging.WARNING, "gradient_clinic"):
        torch.manual_seed(5)  # noqa: TID251 -- dropout draws from no other generator
        losses = [step(model, optimizer, batch_of("resnet", number, torch.float32), watched) for number in range(4)]
    said = [record for record in caplog.records if "broken on purpose" in record.message]
    assert (len(said), watched.closed) == (1, True)
    assert all(
        torch.equal(one, other) for one, other in zip(plain, [*losses, *model.state_dict().values()], strict=True)
    )
    assert hooks_of(model, optimizer) == 0
    assert not followed()
    assert watched.report()


def test_no_tensor_of_a_pass_outlives_it() -> None:
    """Without a search for garbage: on a device its memory would be missed."""
    model = made("tanh")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    seen: list[weakref.ref[Tensor]] = []
    handle = model[4].register_forward_hook(lambda _, __, h: seen.append(weakref.ref(h)))
    gc.collect()
    gc.disable()
    try:
        for number in range(3):
            step(model, optimizer, batch_of("tanh", number), watched)
        assert [its() is None for its in seen] == [True] * 3
    finally:
        gc.enable()
        handle.remove()


TRACE: Any = torch.jit.trace
COMPILED: dict[str, Callable[[Any], Any]] = {
    "its compiled form": lambda model: torch.compile(model, backend="eager"),
    "a scripted one": lambda model: TRACE(model, batch_of("tanh", 0)[0]),
}


@pytest.mark.parametrize("how", COMPILED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_of_a_compiled_model_weights_alone_are_watched_and_it_says_so(how: str) -> None:
    model = COMPILED[how](made("tanh"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    step(model, optimizer, batch_of("tanh", 0), watched)
    assert "compiled or scripted" in watched.remarks[0]
    assert [row.name for row in watched.rows] == ["0", "2", "4", "6", "8"]
    assert (watched.records.kept()[0].matrix[4] > 0.0).all()
    assert "gradients are not judged" in watched.report()


def test_a_model_that_is_compiled_after_it_was_given_is_watched_by_its_weights() -> None:
    model = made("tanh")
    compiled: Any = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    for number in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(compiled(batch_of("tanh", number)[0]), batch_of("tanh", number)[1]))
        optimizer.step()
    assert any("no forward pass" in remark for remark in watched.remarks)
    assert watched.records.count == 2
