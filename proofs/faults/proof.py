"""The proof: references first, then faults while the same experiments are trained, then the comparison."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from local.errors import LocalError
from local.supervisor import Clinic
from models.status import State
from models.storage.tables import Experiment
from proofs.faults import audit
from proofs.faults.audit import Findings, Undisturbed
from proofs.faults.experiments import EXPERIMENTS
from proofs.faults.faults import LIGHT, shuffled_round, strike
from proofs.faults.target import QUICK, Target

REFERENCE_S = 300.0
DRAIN_S = 180.0
STRUCK_IN_TIME_S = 180.0
"""A clinic in which nothing can be hit for so long has not recovered."""
GAP_S = (0.3, 2.5)
LIGHT_GAP_S = (0.0, 0.6)
MOST_WAITING = 6
"""Queued runs at most: enough that there is always something to do, and few when the last fault has struck."""
MOST_WHEN_IDLE = 14
"""The same while no run is trained: lost messages are sent again after a while, and new runs keep workers busy."""
API_AWAY_S = 5.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Proof:
    target: Target
    say: Say
    _began: float = field(default_factory=time.monotonic)

    def train_references(self) -> Undisturbed:
        for spec in EXPERIMENTS:
            # Each run alone: those that faults strike may be trained together, and must leave the same.
            self.target.client.submit(spec | {"batching": False})
        if not self._until(self._all_have_ended, REFERENCE_S):
            message = f"the undisturbed runs have not ended in {REFERENCE_S:g} s"
            raise LocalError(message)
        undisturbed = audit.references(self.target.database)
        self.target.references = undisturbed.experiment_ids
        self._line(f"{len(undisturbed.outputs)} undisturbed references")
        return undisturbed

    def inflict(self, kills: int) -> None:
        waiting: deque[str] = deque()
        for done in range(1, kills + 1):
            name, hit = self._struck(waiting)
            self._line(f"{done}/{kills} {name}: {hit}")
            self._keep_busy(self.target.rng.uniform(*LIGHT_GAP_S if name in LIGHT else GAP_S))

    def wait_for_the_end(self) -> None:
        """Wakes all but the API, which is away while runs end. All that is under way has a bounded time."""
        self.target.sleepers.wake(all_of_them=True)
        self._line(f"no more faults; waiting for what is under way ({self._counts()})")
        api = self.target.clinic.pid("api")
        if api is not None:
            # No end may need it: who waits for one is told when it is back.
            self.target.sleepers.stop(api, API_AWAY_S)
        self.target.tend(API_AWAY_S)
        if not self._until(
            lambda: self.target.later.tend(all_of_them=True) and not self.target.client.unanswered, DRAIN_S
        ):
            message = f"the API has not answered in {DRAIN_S:g} s after the last fault"
            raise LocalError(message)
        self._until(self._all_have_ended, DRAIN_S)
        self._until(self._all_are_compared, DRAIN_S)
        self._line(f"waited ({self._counts()})")

    def _struck(self, waiting: deque[str]) -> tuple[str, str]:
        """(Name, what was hit) of the first waiting fault that finds something to hit. The others wait on."""
        deadline = time.monotonic() + STRUCK_IN_TIME_S
        while time.monotonic() < deadline:
            # A round is struck to its end before the next one is drawn, so every kind has its share.
            waiting.extend([] if waiting else shuffled_round(self.target.rng))
            hit = strike(self.target, waiting[0])
            if hit is not None:
                return waiting.popleft(), hit
            # Nothing to hit for this one just now; the next may find something.
            waiting.rotate(-1)
            self._keep_busy(0.1)
        message = f"in {STRUCK_IN_TIME_S:g} s there was nothing to hit for {', '.join(waiting)} ({self._counts()})"
        raise LocalError(message)

    def _keep_busy(self, for_s: float) -> None:
        """Lets time pass while new experiments come in."""
        until = time.monotonic() + for_s
        while True:
            self.target.tend(min(0.2, for_s))
            if self._too_little_to_do():
                self.target.submit()
            self.target.client.send()
            if time.monotonic() >= until:
                return

    def _too_little_to_do(self) -> bool:
        try:
            counts = self.target.count()
        except DBAPIError:
            return False
        # Few while they are trained: each run that is left at the end has to be waited for before anything is compared.
        most = MOST_WAITING if counts.get(State.RUNNING, 0) else MOST_WHEN_IDLE
        return counts.get(State.QUEUED, 0) < most

    def _until(self, done: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.target.tend(0.2)
            self.target.client.send()
            try:
                if done():
                    return True
            except DBAPIError:
                continue
        return False

    def _all_have_ended(self) -> bool:
        counts = self.target.count()
        return not self.target.client.unanswered and all(state.is_finished for state in counts)

    def _all_are_compared(self) -> bool:
        with self.target.database.begin() as session:
            missing = select(func.count()).where(Experiment.comparison.is_(None))
            return session.execute(missing).scalar_one() == 0

    def _counts(self) -> str:
        try:
            counts = self.target.count()
        except DBAPIError:
            return "the database is away"
        return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))

    def _line(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self._began:6.1f} s] {text}")


def _passwords_in_logs(clinic: Clinic, logs: Path) -> list[str]:
    """Errors are logged under every fault, and must not contain what only the clinic may know."""
    passwords = [urlsplit(url).password or "" for url in (clinic.database_url, clinic.redis_url)]
    texts = {log.name: log.read_text(errors="replace") for log in sorted(logs.iterdir())}
    return [
        f"{name} tells a password" for name, text in texts.items() if any(password in text for password in passwords)
    ]


def prove(kills: int, seed: int, say: Say) -> Findings:
    say("starting a clinic of its own …")
    with Target.started(QUICK, seed) as target:
        proof = Proof(target, say)
        undisturbed = proof.train_references()
        proof.inflict(kills)
        proof.wait_for_the_end()
        expected = target.client.expected()
        findings = audit.compare(target.database, undisturbed, expected)
        findings.wrong += _passwords_in_logs(target.clinic, target.folder / "logs")
    for line in findings.wrong:
        say(line)
    say(
        f"{len(expected.stored)} experiments, {len(expected.cancelled)} to be cancelled, "
        f"{len(expected.deleted)} deleted; {findings.attempts} attempts"
    )
    return findings
