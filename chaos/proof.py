"""The proof: references first, then faults while the same experiments are trained, then the comparison."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from chaos import audit
from chaos.audit import Findings, Undisturbed
from chaos.clinic import own_clinic
from chaos.experiments import EXPERIMENTS, Spec
from chaos.faults import dealt, strike
from chaos.orders import Orders
from chaos.town import Town
from local.errors import LocalError
from models.status import State

REFERENCE_S = 180.0
DRAIN_S = 180.0
STRUCK_IN_TIME_S = 30.0
"""A fault that finds nothing to hit for so long makes way for the next one."""
GAP_S = (0.3, 4.0)
MOST_WAITING = 6
"""So many runs are queued at most: there is always something to do, and little when the last fault has struck."""


@dataclass(slots=True)
class Proof:
    town: Town
    orders: Orders
    say: Callable[[str], None]
    _began: float = field(default_factory=time.monotonic)
    _next: Spec | None = None

    def train_references(self) -> Undisturbed:
        for spec in EXPERIMENTS:
            if not self.orders.place(spec):
                message = "the API does not answer, and nothing has been done to it yet"
                raise LocalError(message)
        if not self._all_end(REFERENCE_S):
            message = f"the undisturbed runs have not ended in {REFERENCE_S:g} s"
            raise LocalError(message)
        found = audit.references(self.town.database)
        self._line(f"{len(found.run_ids)} undisturbed references")
        return found

    def inflict(self, kills: int) -> None:
        names = dealt(self.town.dice)
        done = 0
        while done < kills:
            self._keep_busy(self.town.dice.uniform(*GAP_S))
            name = next(names)
            hit = self._struck(name)
            if hit is not None:
                done += 1
                self._line(f"{done}/{kills} {name}: {hit}")

    def wait_for_the_end(self) -> None:
        """Nobody is left asleep, and what is queued or running has a bounded time to end."""
        self.town.sleepers.wake(all_of_them=True)
        deadline = time.monotonic() + DRAIN_S
        while self._next is not None:  # its answer was lost, and perhaps not the experiment
            if time.monotonic() > deadline:
                message = f"the API has not answered in {DRAIN_S:g} s after the last fault"
                raise LocalError(message)
            self._keep_busy(0.2)
        self._line(f"no more faults; waiting for what is under way ({self._counts()})")
        self._all_end(DRAIN_S)
        self._line(f"waited ({self._counts()})")

    def _struck(self, name: str) -> str | None:
        deadline = time.monotonic() + STRUCK_IN_TIME_S
        while time.monotonic() < deadline:
            hit = strike(self.town, name)
            if hit is not None:
                return hit
            self._keep_busy(0.1)
        self._line(f"{name}: nothing to hit in {STRUCK_IN_TIME_S:g} s")
        return None

    def _keep_busy(self, for_s: float) -> None:
        """Lets time pass while new experiments come in."""
        for tick in itertools.count():
            if tick * 0.2 >= for_s:
                return
            self.town.tend(min(0.2, for_s))
            if self._next is None and self._waiting() < MOST_WAITING:
                self._next = self.town.dice.choice(EXPERIMENTS)
            if self._next is not None and self.orders.place(self._next):
                self._next = None

    def _waiting(self) -> int:
        try:
            return self.town.count().get(State.QUEUED, 0)
        except DBAPIError:
            return MOST_WAITING

    def _all_end(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.town.tend(0.2)
            try:
                if all(state.is_finished for state in self.town.count()):
                    return True
            except DBAPIError:
                continue
        return False

    def _counts(self) -> str:
        try:
            counts = self.town.count()
        except DBAPIError:
            return "the database is away"
        return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))

    def _line(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self._began:6.1f} s] {text}")


def prove(kills: int, seed: int, say: Callable[[str], None]) -> Findings:
    say("starting a clinic of its own …")
    with own_clinic() as clinic, Town.around(clinic, seed) as town:
        orders = Orders(clinic.address)
        try:
            proof = Proof(town, orders, say)
            undisturbed = proof.train_references()
            proof.inflict(kills)
            proof.wait_for_the_end()
            findings = audit.compare(town.database, undisturbed, orders.accepted)
        finally:
            orders.close()
    for difference in findings.different:
        say(difference)
    return findings
