"""Which runs a worker claims with the one that it has, to train them together."""

import math
import uuid
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import structlog
import torch
from sqlalchemy.exc import DBAPIError

from models import runs
from models.plan import Plan, plan_variant
from models.runs import Claim, queueing
from models.runs.queueing import Waiting
from models.settings import Settings
from models.storage.database import Database
from worker.checkpoints import Keeper
from worker.groups.group import Joining
from worker.groups.joint import JointStep
from worker.groups.pace import Pace, Paces
from worker.groups.structure import structure_of

log = structlog.get_logger()

MOST_TOGETHER = 4
"""Runs in a group: the weights of more leave the caches, and hold up those who wait for a turn (decision 40)."""
STRUCTURES_KEPT = 1_000


@dataclass(slots=True)
class Beside:
    """What one worker process, ``name``, knows of runs that can be trained together, on a CPU."""

    settings: Settings
    database: Database
    device: torch.device
    name: str
    _paces: Paces = field(default_factory=Paces)
    _structures: dict[tuple[uuid.UUID, str, float | None], Hashable | None] = field(default_factory=dict)

    joining: ClassVar[Joining] = JointStep
    """How the steps of a group are made."""

    def claimed(self, claim: Claim) -> list[Claim]:
        """Further runs of its experiment that are trained with this one, if there are any worth it."""
        structure = None if self._trains_alone(claim) else self._structure(claim, claim.variant, claim.learning_rate)
        if structure is None or not self._paces.may_be_worth(structure, 2):
            return []
        with self.database.begin() as session:
            queue = queueing.waiting_beside(session, claim.lease.experiment_id, self._enough(MOST_TOGETHER))
        alike, most = self._alike(claim, structure, queue.waiting), self._most(queue, MOST_TOGETHER)
        if not self._paces.may_be_worth(structure, min(most, len(alike) + 1)):
            return []
        return self._claimed(claim, alike, most)

    def are_one(self, claims: Sequence[Claim]) -> bool:
        """Whether these are trained as a group."""
        return len(claims) > 1

    def pace(self, claims: Sequence[Claim]) -> Pace:
        """Of these together."""
        first = claims[0]
        return self._paces.of(self._structure(first, first.variant, first.learning_rate), len(claims))

    def wanted(self, keepers: Sequence[Keeper]) -> list[Callable[[int], bool]]:
        """Before which steps each run of a group is to be kept."""
        return [keeper.due for keeper in keepers]

    def tell_apart(self, claims: Sequence[Claim]) -> None:
        """Their steps have turned out to be no faster together."""
        try:
            with self.database.begin() as session:
                runs.keep_apart(session, [claim.lease for claim in claims])
        except DBAPIError as error:  # it ends no run that its own row says less
            log.warning("it could not be told that runs are trained apart", error=str(error))

    def _trains_alone(self, claim: Claim) -> bool:
        # Several threads would split a group's loops elsewhere than a run's, which may round otherwise.
        return self._is_held_alone(claim) or claim.checkpoint is not None or torch.get_num_threads() > 1

    def _is_held_alone(self, claim: Claim) -> bool:
        # One run may have so much time or memory, and would be ended for what others take.
        limits = self.settings.time_limit_s, self.settings.memory_limit_bytes
        return not claim.spec.batching or limits != (None, None)

    def _enough(self, most: int) -> int:
        """Runs that have to wait for every slot to have a group of ``most``."""
        return most * self.settings.workers

    def _most(self, queue: queueing.Beside, most: int) -> int:
        """Of ``most`` runs so many that the other workers get their share of what waits: of this experiment, where the
        queue has not enough for all of them.
        """
        share = math.ceil((len(queue.waiting) + 1) / self.settings.workers)
        return most if queue.is_long else min(most, share)

    def _alike(self, claim: Claim, structure: Hashable, waiting: Sequence[Waiting]) -> list[uuid.UUID]:
        """Those of ``structure``."""
        return [its.run_id for its in waiting if self._structure(claim, its.variant, its.learning_rate) == structure]

    def _claimed(self, claim: Claim, alike: Sequence[uuid.UUID], most: int) -> list[Claim]:
        """Of ``alike`` the first ones, ``most`` with the run of ``claim``."""
        if most < 2 or not alike:
            return []
        # Some more than are wanted: slots that claim at the same time have each other's first choice in hand.
        asked = alike[: most - 1 + self.settings.workers]
        limit = self.settings.max_parallel_per_owner
        with self.database.begin() as session:
            return runs.claim_beside(session, claim, asked, most - 1, self.name, self.settings.lease_s, limit)

    def _structure(self, claim: Claim, variant: str, learning_rate: float | None) -> Hashable | None:
        known, asked = self._structures, (claim.lease.experiment_id, variant, learning_rate)
        if asked not in known:
            if len(known) >= STRUCTURES_KEPT:
                known.clear()
            known[asked] = self._structure_of(plan_variant(claim.spec, variant).at_rate(learning_rate))
        return known[asked]

    def _structure_of(self, plan: Plan) -> Hashable | None:
        return structure_of(plan)
