"""Runs that are trained in a group, and alone."""

from collections.abc import Sequence

from models.plan import Plan
from proofs.outcomes.grouped import seen_by
from tests.worker.trials import data_of, trainer_of
from worker.engine import train
from worker.groups.group import Group, Joining, Member
from worker.groups.pace import Always
from worker.results import Seen, TrainState

Run = tuple[Plan, int]


def grouped(
    runs: Sequence[Run],
    joining: Joining,
    states: Sequence[TrainState | None] | None = None,
) -> list[list[Seen]]:
    """What each sees where all steps are made together, from its state where there is one."""
    trainers = [trainer_of(plan, seed=seed) for plan, seed in runs]
    for trainer, state in zip(trainers, states or [None] * len(trainers), strict=True):
        if state is not None:
            trainer.resume(state)
    return seen_by(Group([Member(trainer) for trainer in trainers], Always(), joining))


def alone(plan: Plan, seed: int) -> list[Seen]:
    return list(train(plan, data_of(plan, seed), seed=seed))


def seeds_of(plan: Plan) -> list[Run]:
    return [(plan, seed) for seed in range(3)]
