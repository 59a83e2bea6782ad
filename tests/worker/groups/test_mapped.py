"""Runs that a GPU trains as one network, on CPU tensors: each is the run that it would be alone, up to rounding, and
what a step launches does not grow with them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from models.plan import Plan, expand
from models.specs.base import SpecError, by_kind
from models.specs.normalization import SkipSpec
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from proofs.gpu.exactness import bits_of
from proofs.gpu.mapping import counted
from proofs.gpu.recording import CountOperations
from proofs.outcomes.grouped import seen_by
from tests.networks import EVERY_KIND, MORE_KINDS
from tests.worker.groups.members import Run, alone, grouped, seeds_of
from tests.worker.test_resume import stored
from tests.worker.trials import TEACHER, data_of, plan_of, spec_of, spec_of_kind, state_of, trainer_of, treated
from worker.groups.group import Group, Member
from worker.groups.mapped import MappedStep
from worker.groups.pace import Always
from worker.groups.structure import mapped_structure_of
from worker.groups.trial import tried
from worker.networks.parts import ACTIVATIONS
from worker.results import EpochResult, RunResult, Seen, Snapshot, TrainState

NETWORK: dict[str, Any] = {"hidden": [20, 20, 20]}
USUAL: dict[str, Any] = {"steps": 5, "batch_size": 32, "optimizer": {"kind": "sgd", "learning_rate": 0.05}}
TOLERANCE = 1e-3
"""Relative, of float32 through a few layers and steps; what is small beside the largest layer's is held to that."""


def group_of(members: Sequence[Member]) -> Group:
    return Group(members, Always(), MappedStep)


def mapped(runs: Sequence[Run], states: Sequence[TrainState | None] | None = None) -> list[list[Seen]]:
    return grouped(runs, MappedStep, states)


def assert_near(one: Sequence[Seen], other: Sequence[Seen], tolerance: float = TOLERANCE) -> None:
    assert [type(its) for its in one] == [type(its) for its in other]
    for here, there in zip(one, other, strict=True):
        match here, there:
            case StepRecord(), StepRecord():
                assert (here.step, here.layers) == (there.step, there.layers)
                for name in SIGNALS:
                    expected = np.asarray(getattr(there, name))
                    scale = float(np.nanmax(np.abs(expected), initial=0.0))
                    np.testing.assert_allclose(
                        getattr(here, name), expected, tolerance, tolerance * scale, err_msg=name
                    )
                for curve in set(CURVES) - {"step_seconds"}:
                    np.testing.assert_allclose(getattr(here, curve), getattr(there, curve), tolerance, err_msg=curve)
            case EpochResult(), EpochResult():
                assert here.loss == pytest.approx(there.loss, rel=tolerance)
            case RunResult(), RunResult():
                told = "steps_done", "outcome", "stopped_by", "chance_level"
                assert [getattr(here, its) for its in told] == [getattr(there, its) for its in told]
                assert here.test_loss == pytest.approx(there.test_loss, rel=10 * tolerance)


def assert_as_alone(runs: Sequence[Run]) -> None:
    structures = {mapped_structure_of(plan) for plan, _ in runs}
    assert len(structures) == 1
    assert None not in structures
    for (plan, seed), seen in zip(runs, mapped(runs), strict=True):
        assert_near(seen, alone(plan, seed))


# --- everything that a network, an optimiser and a remedy can be --------------------------------------------------

ALONE = {
    "rnn",
    "rnn tanh",
    "rnn relu, cut",
    "rnn gru, values",
    "rnn tokens",
    "rnn tokens of varying length, cut",
    "rnn normed weights",
    "sequential over steps",
    "transformer",  # of cases of varying length
    "transformer, pre, varying length",
    "weight norm",
    "spectral norm",
}


@pytest.mark.parametrize("kind", [*EVERY_KIND, *MORE_KINDS])
def test_every_kind_of_network(kind: str) -> None:
    asked = {**EVERY_KIND, **MORE_KINDS}[kind]
    plan = expand(spec_of_kind(asked, **USUAL))[0].plan
    if kind in ALONE:
        assert mapped_structure_of(plan) is None
    else:
        assert_as_alone(seeds_of(plan))


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


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.keys() - {"muon"}))
def test_every_optimizer(optimizer: str) -> None:
    assert_as_alone(seeds_of(plan_of(NETWORK, **{**USUAL, "optimizer": {"kind": optimizer, "learning_rate": 0.003}})))


def test_momentum_and_schedules() -> None:
    sgd = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "schedule": {"kind": "cosine"}}
    assert_as_alone(seeds_of(plan_of(NETWORK, **{**USUAL, "optimizer": sgd})))


WIDE = {"kind": "mlp", "hidden": [64, 64, 64]}
"""Two units to a group of group norm would have h = ±1, and gradients that hang on rounding."""


@pytest.mark.parametrize("remedy", REMEDIES)
def test_every_remedy_where_it_leaves_a_structure(remedy: str) -> None:
    try:
        plan = expand(treated(remedy, WIDE, steps=3, batch_size=32))[-1].plan
    except SpecError:
        pytest.skip("it is for other networks")
    if mapped_structure_of(plan) is not None:
        assert_as_alone(seeds_of(plan))


CLIPPING = {"clip_norm": ("max_norm", 0.3), "clip_value": ("max_value", 0.05), "agc": ("clipping", 0.02)}


@pytest.mark.parametrize("clipping", CLIPPING)
def test_members_have_numbers_of_their_own(clipping: str) -> None:
    """Rates, strengths, thresholds, decays: each member is treated by its own, and by no mean of all."""
    name, most = CLIPPING[clipping]

    def asked(strength: float) -> list[dict[str, Any]]:
        return [
            {"kind": "l2", "strength": 0.02 * strength},
            {"kind": "gradient_centralization"},
            {"kind": clipping, name: most * strength},
            {"kind": "weight_decay", "strength": 0.5 * strength},
            {"kind": "learning_rate", "value": 0.03 * strength},
            {"kind": "warm_up", "steps": int(4 * strength)},
            {"kind": "init", "init": {"kind": "gaussian", "weight_variance": 2.0 * strength}},
        ]

    variants = [{"name": f"v{its}", "remedies": asked(its)} for its in (1.0, 2.0, 0.5)]
    _, *treated_ones = expand(spec_of(NETWORK, **USUAL, variants=variants))
    assert_as_alone([(variant.plan, seed) for seed in range(2) for variant in treated_ones])


def test_each_has_its_own_decoupled_decay() -> None:
    def adamw(decay: float) -> list[dict[str, Any]]:
        rate = 0.003 * (1 + decay)
        return [{"kind": "optimizer", "optimizer": {"kind": "adamw", "learning_rate": rate, "weight_decay": decay}}]

    variants = [{"name": f"v{its}", "remedies": adamw(its)} for its in (10.0, 1.0)]
    _, *treated_ones = expand(spec_of(NETWORK, **USUAL, variants=variants))
    assert_as_alone([(variant.plan, 0) for variant in treated_ones])


def test_frozen_layers_stay() -> None:
    plan = plan_of({**NETWORK, "frozen": ["hidden.0"]}, **USUAL, remedies=[{"kind": "clip_norm", "max_norm": 0.1}])
    assert_as_alone(seeds_of(plan))


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy"])
def test_other_losses_of_labels(loss: str) -> None:
    assert_as_alone(seeds_of(plan_of({**NETWORK, "init": {"kind": "kaiming_normal"}}, **USUAL, loss=loss)))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_losses_of_values(loss: str) -> None:
    asked = {**USUAL, "dataset": TEACHER, "loss": loss, "batch_size": 16}
    assert_as_alone(seeds_of(plan_of({**NETWORK, "init": {"kind": "kaiming_normal"}}, **asked)))


def test_recording_some_steps_and_a_last_batch_that_is_smaller() -> None:
    asked = {**USUAL, "batch_size": 300, "epochs": 2, "drop_last": False, "trace": {"every": 2}}
    del asked["steps"]
    data = {"kind": "digits", "validation_fraction": 0.2}
    assert_as_alone(seeds_of(plan_of(NETWORK, **asked, dataset=data)))


# --- what is no more of a group than of one ---------------------------------------------------------------------------


TREATMENT = [{"kind": kind} for kind in ("l2", "gradient_centralization", "agc", "weight_decay")]


@pytest.mark.parametrize("kind", [*sorted(EVERY_KIND.keys() - ALONE), "transformer, causal"])
def test_operations_and_copies_to_the_host_do_not_grow_with_the_members(kind: str) -> None:
    asked = {**EVERY_KIND, **MORE_KINDS}[kind]
    adam = {"kind": "adam", "learning_rate": 0.01}
    plan = expand(
        spec_of_kind(asked, **{**USUAL, "optimizer": adam}, variants=[{"name": "treated", "remedies": TREATMENT}])
    )[-1].plan
    two, nine = (counted([trainer_of(plan, seed=seed) for seed in range(members)]) for members in (2, 9))
    assert two.operations == nine.operations
    # No branch and no number waits for the device but the record; torch's own loss moves one from the CPU to the CPU.
    assert two.copies == nine.copies
    assert set(two.copies) == {"aten._to_copy"}


def test_a_run_alone_takes_as_many_operations_each() -> None:
    """What the test above would see of steps that are made one after the other."""
    trainers = [trainer_of(plan_of(NETWORK, **USUAL), seed=seed) for seed in range(4)]
    numbers = []
    for some in (trainers[:1], trainers):
        with CountOperations() as seen:
            for trainer in some:
                trainer.step(0)
        numbers.append(seen.operations.total())
    assert numbers[1] > 3 * numbers[0]


# --- members that end, and states ------------------------------------------------------------------------------------


def test_they_begin_with_the_weights_of_a_run_alone_bit_for_bit() -> None:
    plan = plan_of({**NETWORK, "normalization": {"kind": "batch_norm"}}, **USUAL)
    trainers = [trainer_of(plan, seed=seed) for seed in range(3)]
    MappedStep(trainers)
    for seed, trainer in enumerate(trainers):
        expected = state_of(trainer_of(plan, seed=seed))
        assert all(expected[name].equal(its) for name, its in state_of(trainer).items())


def test_batch_norm_keeps_each_one_s_own_moments() -> None:
    plan = plan_of({**NETWORK, "normalization": {"kind": "batch_norm"}}, **USUAL)
    trainers = [trainer_of(plan, seed=seed) for seed in range(3)]
    seen_by(group_of([Member(its) for its in trainers]))
    for seed, trainer in enumerate(trainers):
        single = trainer_of(plan, seed=seed)
        list(single.run(lambda: None))
        expected, buffers = dict(single.model.named_buffers()), dict(trainer.model.named_buffers())
        assert buffers
        for name, its in buffers.items():
            torch.testing.assert_close(its, expected[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_one_that_diverges_leaves_the_others_as_they_are() -> None:
    variants = [{"name": "tame", "remedies": [{"kind": "learning_rate", "value": 0.001}]}]
    sgd = {"kind": "sgd", "learning_rate": 1000.0, "momentum": 0.9}
    asked = {**USUAL, "steps": 12, "optimizer": sgd, "stop_when": {"nonfinite_steps": 2}}
    wild, tame = (its.plan for its in expand(spec_of({"hidden": [20] * 8}, **asked, variants=variants)))
    seen = mapped([(wild, 0), (tame, 1), (wild, 2), (tame, 3)])
    for number in (0, 2):
        result = seen[number][-1]
        assert isinstance(result, RunResult)
        assert (result.outcome, result.stopped_by) == ("diverged", "nonfinite_steps")
        broken = seen[number][-2]
        assert isinstance(broken, StepRecord)
        assert broken.nonfinite_count.sum() > 0
    for number in (1, 3):
        assert_near(seen[number], alone(tame, number))


def test_what_is_not_finite_is_counted_as_of_a_run_alone() -> None:
    sgd = {"kind": "sgd", "learning_rate": 1000.0, "momentum": 0.9}
    plan = plan_of({"hidden": [20] * 8}, **{**USUAL, "steps": 8, "optimizer": sgd})
    for seed, seen in enumerate(mapped(seeds_of(plan))):
        here, there = seen[-2], alone(plan, seed)[-2]
        assert isinstance(here, StepRecord)
        assert isinstance(there, StepRecord)
        # By then every h, δ and gradient is NaN; which entry overflows first is a matter of rounding.
        assert here.nonfinite_count.tolist() == there.nonfinite_count.tolist()
        assert here.nonfinite_count.all()


class _EndsError(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "nadam"])
def test_one_that_is_asked_to_end_leaves_the_others_as_they_are(optimizer: str) -> None:
    plan = plan_of(NETWORK, **{**USUAL, "steps": 8, "optimizer": {"kind": optimizer, "learning_rate": 0.003}})
    calls = 0

    def fourth_step() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise _EndsError

    trainers = [trainer_of(plan, seed=seed) for seed in range(3)]
    members = [Member(trainers[0]), Member(trainers[1], fourth_step), Member(trainers[2])]
    seen: list[list[Any]] = [[] for _ in trainers]
    for number, one in group_of(members).train():
        seen[number].append(one)
    assert isinstance(seen[1].pop(), _EndsError)
    assert_near(seen[1], alone(plan, 1)[:3])
    for seed in (0, 2):
        assert_near(seen[seed], alone(plan, seed))


def snapshots(plan: Plan, step: int) -> list[TrainState]:
    members = [Member(trainer_of(plan, seed=seed), wanted=lambda its: its == step) for seed in range(3)]
    return [stored(one.state) for _, one in group_of(members).train() if isinstance(one, Snapshot)]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.keys() - {"muon"}))
def test_a_group_goes_on_from_its_states_bit_for_bit(optimizer: str) -> None:
    asked = {**USUAL, "steps": 7, "optimizer": {"kind": optimizer, "learning_rate": 0.003}}
    plan = plan_of({**NETWORK, "normalization": {"kind": "batch_norm"}}, **asked)
    whole = mapped(seeds_of(plan))
    again = mapped(seeds_of(plan), snapshots(plan, 4))
    for one, other in zip(whole, again, strict=True):
        assert bits_of(one)[4:] == bits_of(other)


def test_a_state_is_as_large_as_that_of_a_run_alone() -> None:
    plan = plan_of(NETWORK, **{**USUAL, "optimizer": {"kind": "adam"}})
    state = snapshots(plan, 4)[0]
    memories = [its for memory in state["optimizer"]["state"].values() for its in memory.values()]
    assert memories
    for tensor in [*state["model"].values(), *memories]:
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_a_trial_leaves_nothing_behind_and_tells_a_gain() -> None:
    plan = plan_of(NETWORK, **USUAL)
    trial = tried(plan, data_of(plan), 0, torch.device("cpu"))
    assert trial.gain > 0.0
    assert not tried(plan_of(NETWORK, **{**USUAL, "steps": 2}), data_of(plan), 0, torch.device("cpu")).is_worth_it
    assert_as_alone(seeds_of(plan))


def test_what_takes_long_steps_is_not_tried_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.groups.trial.LONG_S", 0.0)  # as every step is longer
    monkeypatch.setattr("worker.groups.trial.MappedStep", None)
    plan = plan_of(NETWORK, **USUAL)
    assert tried(plan, data_of(plan), 0, torch.device("cpu")).gain == 0.0


# --- structure -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"kind": "sgd", "learning_rate": 0.5}},
        {"remedies": [{"kind": "orthogonal_init"}]},
        {"remedies": [{"kind": "learning_rate", "value": 0.3}]},
        {"seeds": [7]},
    ],
)
def test_numbers_are_no_part_of_it(changes: dict[str, Any]) -> None:
    assert mapped_structure_of(plan_of(NETWORK, **{**USUAL, **changes})) == mapped_structure_of(
        plan_of(NETWORK, **USUAL)
    )


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ({"hidden": [20, 24]}, {}),
        ({"activation": "tanh"}, {}),
        ({"normalization": {"kind": "batch_norm"}}, {}),
        ({}, {"steps": 7}),
        ({}, {"batch_size": 64}),
        ({}, {"trace": {"every": 2}}),
        ({}, {"loss": "mse"}),
        ({}, {"remedies": [{"kind": "clip_norm", "max_norm": 1.0}]}),
        ({}, {"optimizer": {"kind": "adam"}}),
        ({}, {"optimizer": {"kind": "sgd", "momentum": 0.5}}),
    ],
)
def test_what_a_step_is_made_of_is(network: dict[str, Any], changes: dict[str, Any]) -> None:
    other = mapped_structure_of(plan_of({**NETWORK, **network}, **{**USUAL, **changes}))
    assert other is not None
    assert other != mapped_structure_of(plan_of(NETWORK, **USUAL))


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ({"dropout": 0.1}, {}),
        ({}, {"steps": 0}),
        ({}, {"trace": {"budget": 0.1}}),
        ({}, {"label_smoothing": 0.1}),
        ({}, {"class_weights": "balanced"}),
        ({}, {"optimizer": {"kind": "muon"}}),
        ({}, {"remedies": [{"kind": "mixed_precision"}]}),
        ({}, {"remedies": [{"kind": "ema_clip"}]}),
    ],
)
def test_what_must_be_trained_alone_has_none(network: dict[str, Any], changes: dict[str, Any]) -> None:
    assert mapped_structure_of(plan_of({**NETWORK, **network}, **{**USUAL, **changes})) is None
