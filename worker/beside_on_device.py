"""Which runs a worker with a GPU claims with the one that it has, to train them as one network (decision 52)."""

import uuid
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import structlog

from models.plan import Plan, expand, plan_variant
from models.runs import Claim, grouping, queueing
from worker.beside import STRUCTURES_KEPT, Beside
from worker.checkpoints import Keeper
from worker.groups.group import Joining
from worker.groups.mapped import MappedStep
from worker.groups.pace import Always, Pace
from worker.groups.structure import mapped_structure_of
from worker.groups.trial import Trial, tried
from worker.plugins.cases import data_of
from worker.plugins.shelf import NO_SHELF, Shelf

log = structlog.get_logger()

MOST_MAPPED = 16
"""Runs in a group: what a step launches does not grow with them, but their ends wait for each other."""


@dataclass(slots=True)
class AllDue:
    """All runs of a group are kept before the same step, as soon as one is due: they go on as a group."""

    keepers: Sequence[Keeper]
    _step: int = -1
    _due: bool = False

    def __call__(self, step: int) -> bool:
        if step != self._step:
            self._step, self._due = step, any(keeper.due(step) for keeper in self.keepers)
        return self._due


@dataclass(slots=True)
class BesideOnDevice(Beside):
    """Either all runs of an experiment are mapped, one that is left over as well, or none is: a comparison never pairs
    one kind with the other. Who claims its first run tries whether it is worth it, and decides for all.
    """

    shelf: Shelf = NO_SHELF
    _trials: dict[Hashable, Trial] = field(default_factory=dict)
    _decided: dict[uuid.UUID, bool] = field(default_factory=dict)

    joining: ClassVar[Joining] = MappedStep

    def claimed(self, claim: Claim) -> list[Claim]:
        if not self._is_mapped(claim):
            return []
        structure = self._structure(claim, claim.variant, claim.learning_rate)
        step = None if claim.checkpoint is None else claim.checkpoint.step
        with self.database.begin() as session:
            enough = self._enough(MOST_MAPPED)
            queue = queueing.waiting_beside(session, claim.lease.experiment_id, enough, step)
            before = None if step is None else grouping.batched_before(session, claim.lease)
        if before is None:
            most = max(1, int(min(self._most(queue, MOST_MAPPED), self._trial(claim, structure).room)))
            return self._claimed(claim, self._alike(claim, structure, queue.waiting), most)
        # The group as it was: what many round together is not what fewer do.
        waiting = [its for its in queue.waiting if its.batched == before]
        return self._claimed(claim, self._alike(claim, structure, waiting), before)

    def are_one(self, claims: Sequence[Claim]) -> bool:
        return self._is_mapped(claims[0])

    def pace(self, claims: Sequence[Claim]) -> Pace:  # noqa: ARG002 -- a group on a CPU has one of its own
        return Always()

    def wanted(self, keepers: Sequence[Keeper]) -> list[Callable[[int], bool]]:
        return [AllDue(keepers)] * len(keepers)

    def _is_mapped(self, claim: Claim) -> bool:
        experiment_id = claim.lease.experiment_id
        if experiment_id not in self._decided:
            if len(self._decided) >= STRUCTURES_KEPT:
                self._decided.clear()
            self._decided[experiment_id] = not self._is_held_alone(claim) and self._decide(claim)
        return self._decided[experiment_id]

    def _decide(self, claim: Claim) -> bool:
        if any(mapped_structure_of(variant.plan) is None for variant in expand(claim.spec)):
            return False
        experiment_id = claim.lease.experiment_id
        with self.database.begin() as session:
            decided = grouping.are_mapped(session, experiment_id)
        if decided is not None:
            return decided
        # No transaction is open while steps are made.
        structure = self._structure(claim, claim.variant, claim.learning_rate)
        worth = self._trial(claim, structure).is_worth_it
        with self.database.begin() as session:
            return grouping.decide(session, experiment_id, mapped=worth)

    def _trial(self, claim: Claim, structure: Hashable) -> Trial:
        if structure not in self._trials:
            if len(self._trials) >= STRUCTURES_KEPT:
                self._trials.clear()
            plan = plan_variant(claim.spec, claim.variant).at_rate(claim.learning_rate)
            self._trials[structure] = self._tried(plan, claim.seed)
        return self._trials[structure]

    def _tried(self, plan: Plan, seed: int) -> Trial:
        data = data_of(plan.dataset, seed, self.settings.files_url(), self.shelf)
        try:
            return tried(plan, data, seed, self.device)
        except RuntimeError as error:  # what torch raises, for want of memory too
            log.warning("runs could not be tried as one; each is trained alone", error=str(error))
            return Trial(gain=0.0, room=1.0)

    def _structure_of(self, plan: Plan) -> Hashable | None:
        return mapped_structure_of(plan)
