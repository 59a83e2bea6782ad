"""A member of a group is the run that it would be alone, bit for bit: records, validation, weights, states."""

from collections.abc import Sequence
from typing import Any

import pytest

from models.plan import Plan, expand
from models.specs.base import SpecError, by_kind
from models.specs.normalization import SkipSpec
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from proofs.gpu.exactness import bits_of
from proofs.outcomes.grouped import seen_by
from tests.networks import TREATABLE
from tests.worker.groups.members import Run, alone, grouped, seeds_of
from tests.worker.test_resume import stored
from tests.worker.trials import data_of, plan_of, spec_of, trainer_of, treated
from worker.datasets.split import TrialData
from worker.engine import train
from worker.groups.group import Group, Member
from worker.groups.joint import JointStep
from worker.groups.structure import structure_of
from worker.networks.parts import ACTIVATIONS
from worker.results import Seen, Snapshot, TrainState

NETWORK: dict[str, Any] = {"hidden": [20, 20, 20]}
USUAL: dict[str, Any] = {"steps": 6, "batch_size": 32}


def together(runs: Sequence[Run], states: Sequence[TrainState | None] | None = None) -> list[list[Seen]]:
    return grouped(runs, JointStep, states)


def assert_as_alone(runs: Sequence[Run]) -> None:
    structures = {structure_of(plan) for plan, _ in runs}
    assert len(structures) == 1
    assert None not in structures
    for (plan, seed), seen in zip(runs, together(runs), strict=True):
        assert bits_of(seen) == bits_of(alone(plan, seed))


# --- everything that a network, an optimiser and a remedy can be --------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str) -> None:
    assert_as_alone(seeds_of(plan_of({**NETWORK, "activation": activation}, **USUAL)))


ASKED = {"group_norm": {"groups": 4}}


@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm", "rms_norm", "group_norm"])
def test_every_norm(norm: str) -> None:
    assert_as_alone(seeds_of(plan_of({**NETWORK, "normalization": {"kind": norm, **ASKED.get(norm, {})}}, **USUAL)))


@pytest.mark.parametrize("skip", by_kind(SkipSpec))
def test_every_skip(skip: str) -> None:
    assert_as_alone(seeds_of(plan_of({**NETWORK, "skip": {"kind": skip}}, **USUAL)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str) -> None:
    asked = {"kind": optimizer, "learning_rate": 0.01}
    assert_as_alone(seeds_of(plan_of(NETWORK, **USUAL, optimizer=asked)))


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize(
    "kind", ["mlp", *(pytest.param(its, marks=pytest.mark.long) for its in ("residual_mlp", "sequential"))]
)
def test_every_remedy_where_it_leaves_a_structure(remedy: str, kind: str) -> None:
    try:
        plan = expand(treated(remedy, TREATABLE[kind], **USUAL))[-1].plan
    except SpecError:
        pytest.skip("it is for other networks")
    if structure_of(plan) is None:
        assert remedy in ALONE
    else:
        assert_as_alone(seeds_of(plan))


ALONE = {"mixed_precision", "standardise_targets"}
"""What a remedy makes of these networks is trained alone: other types of numbers, and one output of an odd batch."""


def test_dropout_draws_each_member_s_own_masks() -> None:
    assert_as_alone(seeds_of(plan_of({**NETWORK, "dropout": 0.3}, **USUAL)))
    assert_as_alone(seeds_of(plan_of({**NETWORK, "activation": "selu", "dropout": 0.3}, **USUAL)))


def test_large_weights() -> None:
    # 144 × 144 weights are read by the probe as soon as their gradient is there.
    assert_as_alone(seeds_of(plan_of({"hidden": [144, 144]}, **USUAL)))


def test_maps_of_one_unit() -> None:
    """A product with a vector: torch sums it in another order where many are multiplied at once."""
    values = {"kind": "teacher_student", "cases": 200, "singular_values": [9.0]}
    assert_as_alone(seeds_of(plan_of({"hidden": [16, 1]}, **USUAL, dataset=values, loss="mse")))


@pytest.mark.parametrize("loss", [{"loss": "mse"}, {"label_smoothing": 0.1}, {"class_weights": "balanced"}])
def test_other_losses(loss: dict[str, Any]) -> None:
    assert_as_alone(seeds_of(plan_of(NETWORK, **USUAL, **loss)))


def test_recording_some_steps_and_validating_each_epoch() -> None:
    asked = {"batch_size": 288, "epochs": 3, "dataset": {"kind": "digits", "validation_fraction": 0.2}}
    assert_as_alone(seeds_of(plan_of(NETWORK, **asked, trace={"every": 2})))


def test_variants_that_differ_in_numbers_are_one_group() -> None:
    remedies: list[dict[str, Any]] = [
        {"kind": "orthogonal_init"},
        {"kind": "learning_rate", "value": 0.05},
        {"kind": "clip_norm", "max_norm": 0.1},
        {"kind": "agc"},
        {"kind": "ema_clip", "warm_up": 2, "z": 0.5},
        {"kind": "l2", "strength": 0.01},
        {"kind": "orthogonal_penalty", "strength": 0.01},
        {"kind": "weight_decay", "strength": 0.1},
        {"kind": "gradient_centralization"},
        {"kind": "warm_up", "steps": 4},
        {"kind": "optimizer", "optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}},
    ]
    variants = [{"name": its["kind"], "remedies": [its]} for its in remedies]
    plans = [variant.plan for variant in expand(spec_of(NETWORK, **USUAL, variants=variants))]
    assert len(plans) == len(remedies) + 1
    assert_as_alone([(plan, seed) for seed in range(2) for plan in plans])


# --- members that end -----------------------------------------------------------------------------------------------


def exploding() -> tuple[Plan, Plan]:
    """Two of one structure, the first of which breaks within some steps and is stopped."""
    variants = [{"name": "tame", "remedies": [{"kind": "learning_rate", "value": 0.001}]}]
    sgd = {"kind": "sgd", "learning_rate": 1000.0, "momentum": 0.9}
    asked = {**USUAL, "steps": 12, "optimizer": sgd, "stop_when": {"nonfinite_steps": 2}}
    wild, tame = expand(spec_of({"hidden": [20] * 8}, **asked, variants=variants))
    return wild.plan, tame.plan


def test_one_that_diverges_leaves_the_others_as_they_are() -> None:
    wild, tame = exploding()
    runs = [(wild, 0), (tame, 1), (wild, 2), (tame, 3)]
    seen = together(runs)
    assert len(seen[0]) < len(seen[1])
    for (plan, seed), its in zip(runs, seen, strict=True):
        assert bits_of(its) == bits_of(alone(plan, seed))


class _EndsError(Exception):
    pass


@pytest.mark.parametrize("members", [2, 4])
def test_one_that_is_asked_to_end_leaves_the_others_as_they_are(members: int) -> None:
    plan = plan_of(NETWORK, **USUAL)
    calls = 0

    def third_step() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise _EndsError

    trainers = [trainer_of(plan, seed=seed) for seed in range(members)]
    ending = Member(trainers[1], third_step)
    group = Group([Member(trainers[0]), ending, *(Member(its) for its in trainers[2:])])
    seen: list[list[Seen | Exception]] = [[] for _ in trainers]
    for number, one in group.train():
        seen[number].append(one)
        if number == 0 and len(seen[0]) == 5 and members > 2:
            group.leave(0)  # whoever reads may end one as well
    assert isinstance(seen[1].pop(), _EndsError)
    assert bits_of(seen[1]) == bits_of(alone(plan, 1))[:2]  # type: ignore[arg-type]  # without the error
    assert bits_of(seen[-1]) == bits_of(alone(plan, members - 1)) or members == 2  # type: ignore[arg-type]
    if members == 2:
        assert bits_of(seen[0]) == bits_of(alone(plan, 0))  # type: ignore[arg-type]


def test_a_remedy_that_fails_ends_its_own_run() -> None:
    plan = plan_of(NETWORK, **USUAL, remedies=[{"kind": "l2", "strength": 0.01}])
    trainers = [trainer_of(plan, seed=seed) for seed in range(3)]

    def fails(_bound: object) -> None:
        raise _EndsError

    trainers[0].penalising[0].add_gradient = fails  # type: ignore[method-assign,assignment]
    seen: list[list[Seen | Exception]] = [[] for _ in trainers]
    for number, one in Group([Member(its) for its in trainers]).train():
        seen[number].append(one)
    assert [type(its) for its in seen[0]] == [_EndsError]
    for seed in (1, 2):
        assert bits_of(seen[seed]) == bits_of(alone(plan, seed))  # type: ignore[arg-type]


# --- states ---------------------------------------------------------------------------------------------------------


def snapshots(plan: Plan, step: int) -> list[TrainState]:
    trainers = [trainer_of(plan, seed=seed) for seed in range(3)]
    group = Group([Member(its, wanted=lambda its: its == step) for its in trainers])
    return [stored(one.state) for _, one in group.train() if isinstance(one, Snapshot)]


TREATED = {"remedies": [{"kind": "ema_clip", "warm_up": 2, "z": 0.5}], "optimizer": {"kind": "adam"}}


def test_a_state_goes_on_alone_and_in_any_group() -> None:
    plan = plan_of({**NETWORK, "dropout": 0.3, "normalization": {"kind": "batch_norm"}}, **USUAL, **TREATED)
    states = snapshots(plan, 4)
    for seed, state in enumerate(states):
        after = list(train(plan, data_of(plan, seed), seed=seed, state=stored(state)))
        assert bits_of(after) == bits_of(alone(plan, seed))[4:]
    for seed, seen in zip((2, 0), together([(plan, 2), (plan, 0)], [states[2], states[0]]), strict=True):
        assert bits_of(seen) == bits_of(alone(plan, seed))[4:]


def test_a_state_is_as_large_as_that_of_a_run_alone() -> None:
    plan = plan_of(NETWORK, **USUAL)
    state = snapshots(plan, 4)[0]
    for tensor in state["model"].values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


# --- what is told ----------------------------------------------------------------------------------------------------


def test_members_share_the_time_that_goes_by() -> None:
    plan = plan_of(NETWORK, **USUAL)
    seen = together(seeds_of(plan))
    results: list[Any] = [its[-1] for its in seen]
    times = [record.step_seconds for record in seen[0][:-1]]  # type: ignore[union-attr]
    # A member's seconds are its part of the steps that all made, and no step is counted three times.
    assert sum(times) < results[0].device_seconds
    assert all(result.overhead > 1.0 for result in results)


def test_a_group_without_recording_trains_alike() -> None:
    plan = plan_of(NETWORK, **USUAL)
    trainers = [trainer_of(plan, seed=seed, record=False) for seed in range(3)]
    for seed, seen in enumerate(seen_by(Group([Member(its) for its in trainers]))):
        assert bits_of(seen) == bits_of(list(train(plan, data_of(plan, seed), seed=seed, record=False)))


def test_data_that_runs_share_is_left_as_it_is() -> None:
    plan = plan_of(NETWORK, **USUAL)
    data: TrialData = data_of(plan)
    before = data.train.x.clone()
    together([(plan, 0), (plan, 0)])
    assert data.train.x.equal(before)
