"""The same experiments with their runs trained together, as workers do it: on a CPU, and in the way of a GPU."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from models.plan import Plan, Variant, expand
from models.specs.experiment import ExperimentSpec
from proofs.outcomes.running import Ran, ran, train_here
from worker.datasets import load
from worker.groups.group import Group, Joining, Member
from worker.groups.joint import JointStep
from worker.groups.mapped import MappedStep
from worker.groups.pace import Always
from worker.groups.structure import mapped_structure_of, structure_of
from worker.results import Seen
from worker.trainer import Trainer

MOST: Final = 8
"""Runs in a group."""
CPU: Final = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Way:
    """``all_or_none``: one variant that cannot be grouped leaves all of its experiment alone."""

    structure_of: Callable[[Plan], Hashable | None]
    joining: Joining
    all_or_none: bool


WAYS: Final = {
    "together": Way(structure_of, JointStep, all_or_none=False),
    "mapped": Way(mapped_structure_of, MappedStep, all_or_none=True),
}


def train_grouped(spec: ExperimentSpec, way: Way) -> list[Ran]:
    """In this process, in order of variants and seeds; what cannot be grouped is trained alone."""
    torch.set_num_threads(1)
    variants = expand(spec)
    structures = {variant.name: way.structure_of(variant.plan) for variant in variants}
    if way.all_or_none and None in structures.values():
        return train_here(spec)
    groups = defaultdict[Hashable, list[tuple[Variant, int]]](list)
    for variant in variants:
        for seed in spec.seed_list():
            structure = structures[variant.name]
            # What has none is a group of its own.
            groups[(variant.name, seed) if structure is None else structure].append((variant, seed))
    found = dict[tuple[str, int], Ran]()
    for runs in groups.values():
        for begin in range(0, len(runs), MOST):
            some = runs[begin : begin + MOST]
            found |= {(run.variant, run.seed): run for run in _group(some, way.joining)}
    return [found[variant.name, seed] for variant in variants for seed in spec.seed_list()]


def _group(runs: Sequence[tuple[Variant, int]], joining: Joining) -> list[Ran]:
    began = time.perf_counter()
    trainers = [
        Trainer(its.plan, load(its.plan.dataset, seed), seed=seed, device=CPU, dtype=torch.float32, record=True)
        for its, seed in runs
    ]
    seen = seen_by(Group([Member(trainer) for trainer in trainers], Always(), joining))
    seconds = (time.perf_counter() - began) / len(runs)
    return [ran(its.name, its.plan, seed, yielded, seconds) for (its, seed), yielded in zip(runs, seen, strict=True)]


def seen_by(group: Group) -> list[list[Seen]]:
    """What each member sees; an error of any is raised."""
    seen: list[list[Seen]] = [[] for _ in group.members]
    for number, one in group.train():
        if isinstance(one, Exception):
            raise one
        seen[number].append(one)
    return seen
