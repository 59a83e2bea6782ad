"""The proof: references first, then faults while the same experiments are trained, then the comparison."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from chaos import audit
from chaos.audit import Findings, Undisturbed
from chaos.clinic import QUICK, own_clinic
from chaos.experiments import EXPERIMENTS
from chaos.faults import LIGHT, dealt, strike
from chaos.town import Town
from local.errors import LocalError
from local.supervisor import Clinic
from models.status import State
from models.tables import Experiment

REFERENCE_S = 300.0
DRAIN_S = 180.0
STRUCK_IN_TIME_S = 180.0
"""A clinic in which nothing can be hit for so long has not recovered."""
GAP_S = (0.3, 2.5)
LIGHT_GAP_S = (0.0, 0.6)
MOST_WAITING = 6
"""So many runs are queued at most: there is always something to do, and little when the last fault has struck."""
MOST_WHEN_IDLE = 14
"""Where all messages were lost it takes a while until they are sent again: new runs keep the workers busy."""
API_AWAY_S = 5.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Proof:
    town: Town
    say: Say
    _began: float = field(default_factory=time.monotonic)

    def train_references(self) -> Undisturbed:
        for spec in EXPERIMENTS:
            self.town.orders.new(spec)
        if not self._until(self._all_have_ended, REFERENCE_S):
            message = f"the undisturbed runs have not ended in {REFERENCE_S:g} s"
            raise LocalError(message)
        found = audit.references(self.town.database)
        self.town.references = found.experiment_ids
        self._line(f"{len(found.left)} undisturbed references")
        return found

    def inflict(self, kills: int) -> None:
        hand: deque[str] = deque()
        for done in range(1, kills + 1):
            name, hit = self._struck(hand)
            self._line(f"{done}/{kills} {name}: {hit}")
            self._keep_busy(self.town.dice.uniform(*LIGHT_GAP_S if name in LIGHT else GAP_S))

    def wait_for_the_end(self) -> None:
        """Nobody is left asleep but the API, which is away while runs end. All that is under way has a bounded time."""
        self.town.sleepers.wake(all_of_them=True)
        self._line(f"no more faults; waiting for what is under way ({self._counts()})")
        api = self.town.clinic.pid("api")
        if api is not None:
            self.town.sleepers.stop(api, API_AWAY_S)
        self.town.tend(API_AWAY_S)
        if not self._until(lambda: self.town.later.tend(all_of_them=True) and not self.town.orders.unanswered, DRAIN_S):
            message = f"the API has not answered in {DRAIN_S:g} s after the last fault"
            raise LocalError(message)
        self._until(self._all_have_ended, DRAIN_S)
        self._until(self._all_are_compared, DRAIN_S)
        self._line(f"waited ({self._counts()})")

    def _struck(self, hand: deque[str]) -> tuple[str, str]:
        """The first fault of the round that finds something to hit. Those that do not find it yet come later."""
        deadline = time.monotonic() + STRUCK_IN_TIME_S
        while time.monotonic() < deadline:
            hand.extend([] if hand else dealt(self.town.dice))
            hit = strike(self.town, hand[0])
            if hit is not None:
                return hand.popleft(), hit
            hand.rotate(-1)
            self._keep_busy(0.1)
        message = f"in {STRUCK_IN_TIME_S:g} s there was nothing to hit for {', '.join(hand)} ({self._counts()})"
        raise LocalError(message)

    def _keep_busy(self, for_s: float) -> None:
        """Lets time pass while new experiments come in."""
        until = time.monotonic() + for_s
        while True:
            self.town.tend(min(0.2, for_s))
            if self._too_little_to_do():
                self.town.order()
            self.town.orders.ask()
            if time.monotonic() >= until:
                return

    def _too_little_to_do(self) -> bool:
        try:
            counts = self.town.count()
        except DBAPIError:
            return False
        most = MOST_WAITING if counts.get(State.RUNNING, 0) else MOST_WHEN_IDLE
        return counts.get(State.QUEUED, 0) < most

    def _until(self, done: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.town.tend(0.2)
            self.town.orders.ask()
            try:
                if done():
                    return True
            except DBAPIError:
                continue
        return False

    def _all_have_ended(self) -> bool:
        counts = self.town.count()
        return not self.town.orders.unanswered and all(state.is_finished for state in counts)

    def _all_are_compared(self) -> bool:
        with self.town.database.begin() as session:
            missing = select(func.count()).where(Experiment.comparison.is_(None))
            return session.execute(missing).scalar_one() == 0

    def _counts(self) -> str:
        try:
            counts = self.town.count()
        except DBAPIError:
            return "the database is away"
        return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))

    def _line(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self._began:6.1f} s] {text}")


def _told_secrets(clinic: Clinic, logs: Path) -> list[str]:
    """Errors are logged under every fault, and must not say what only the clinic may know."""
    passwords = [urlsplit(url).password or "" for url in (clinic.database_url, clinic.redis_url)]
    texts = {log.name: log.read_text(errors="replace") for log in sorted(logs.iterdir())}
    return [f"{name} tells a password" for name, text in texts.items() if any(one in text for one in passwords)]


def prove(kills: int, seed: int, say: Say) -> Findings:
    say("starting a clinic of its own …")
    with own_clinic(QUICK) as (clinic, files), Town.around(clinic, files, seed) as town:
        proof = Proof(town, say)
        undisturbed = proof.train_references()
        proof.inflict(kills)
        proof.wait_for_the_end()
        asked = town.orders.asked()
        findings = audit.compare(town.database, undisturbed, asked)
        findings.wrong += _told_secrets(clinic, files.parent / "logs")
    for line in findings.wrong:
        say(line)
    say(
        f"{len(asked.stored)} experiments, {len(asked.cancelled)} to be cancelled, {len(asked.deleted)} deleted; "
        f"{findings.attempts} attempts"
    )
    return findings
