"""Slots: a clinic whose workers' children have the device, and what becomes of a run whose child is killed."""

import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from sqlalchemy import func, select

from local.commands import COMMANDS
from models.storage.tables import Attempt, Experiment, Run
from proofs.faults import audit
from proofs.faults.audit import Undisturbed
from proofs.faults.processes import children, send
from proofs.faults.target import QUICK, Target, UnderWay
from proofs.gpu.check import Check, WrongError

END_S = 300.0
SLOTS = 2
STEPS = 1500
SPEC: dict[str, Any] = {
    "name": "slots",
    "dataset": {"kind": "digits", "split_seed": 0},
    "network": {"kind": "mlp", "depth": 8, "width": 64, "init": {"kind": "kaiming_normal"}, "dropout": 0.1},
    "optimizer": {"kind": "adam", "learning_rate": 0.001},
    "steps": STEPS,
    "seeds": [0, 1],
}
"""Long enough for some checkpoints, with a run for each slot."""


def checks(device: torch.device, steps: int = STEPS) -> Iterator[Check]:
    """The clinic is up while the checks are taken one after the other, and in this submission."""
    kind = "gpu" if device.type == "cuda" else "cpu"
    settings = QUICK | {"CLINIC_DEVICE": kind, "CLINIC_WORKERS": str(SLOTS)}
    with Target.started(settings, seed=0, commands=COMMANDS) as target:
        slots = _Slots(target, device, SPEC | {"device": kind, "steps": steps})
        yield Check(f'slots, an experiment with device "{kind}"', slots.train)
        yield Check("slots, where torch is loaded", slots.look_into_memory)
        yield Check("slots, a killed child's run", slots.kill_one)


@dataclass(slots=True)
class _Slots:
    target: Target
    device: torch.device
    spec: dict[str, Any]
    _undisturbed: Undisturbed | None = None

    def train(self) -> str:
        """Undisturbed, by all slots; each run says on what."""
        self._place()
        self._until_all_ended()
        with self.target.database.begin() as session:
            devices = set(session.execute(select(Run.device)).scalars())
            workers = session.execute(select(func.count(Attempt.worker.distinct()))).scalar_one()
        self._undisturbed = audit.references(self.target.database)
        seen = f"trained by {workers} of {SLOTS} slots; its runs say {', '.join(sorted(map(str, devices)))}"
        # By all slots: where one trains alone it is unknown whether two children can share the device.
        if devices != {str(self.device)} or workers != SLOTS:
            raise WrongError(seen)
        return seen

    def look_into_memory(self) -> str:
        """Beside a GPU each child loads torch for itself; without one the parent loads it for all."""
        if sys.platform != "linux":
            return "not looked at: only Linux shows what a process has loaded"
        parent = self.target.clinic.pid("worker")
        if parent is None:
            raise WrongError("there is no worker")
        # The warden is a child too, and never loads torch.
        others = [child for child in children(parent) if "worker.warden" not in psutil.Process(child).cmdline()]
        holders = [_holds_torch(child) for child in others]
        shared = _holds_torch(parent)
        seen = f"parent {'with' if shared else 'without'} it, {sum(holders)} of {len(holders)} children with it"
        # CUDA must not be forked: a parent with torch beside a GPU would break its children, one without it elsewhere
        # costs them 340 MB each.
        if shared is (self.device.type == "cuda") or holders != [True] * SLOTS:
            raise WrongError(seen)
        return seen

    def kill_one(self) -> str:
        """The same experiment again: one child is killed after a checkpoint, and only the time may show it."""
        if self._undisturbed is None:
            raise WrongError("there is nothing to compare with")
        self._place()
        # Only then does the next attempt have something to go on from.
        victim, step = self._behind_a_checkpoint()
        send(victim.pid, signal.SIGKILL)
        self._until_all_ended()
        findings = audit.compare(self.target.database, self._undisturbed, self.target.client.expected())
        with self.target.database.begin() as session:
            attempts = session.execute(select(Run.attempt).where(Run.id == victim.run_id)).scalar_one()
        seen = f"killed after checkpoint {step}, ended by attempt {attempts}; {findings}"
        if not findings.right or attempts <= victim.attempt:
            raise WrongError("; ".join([seen, *findings.wrong]))
        return seen

    def _place(self) -> None:
        self.target.client.submit(self.spec)
        self.target.client.send()
        if self.target.client.unanswered:
            raise WrongError("the API does not answer")

    def _behind_a_checkpoint(self) -> tuple[UnderWay, int]:
        while not self._all_ended():
            for run in self.target.under_way():
                with self.target.database.begin() as session:
                    step = session.execute(select(Run.checkpoint_step).where(Run.id == run.run_id)).scalar_one()
                if step is not None:
                    return run, step
            self.target.tend(0.02)
        raise WrongError("no run was seen behind a checkpoint")

    def _until_all_ended(self) -> None:
        deadline = time.monotonic() + END_S
        while not self._all_ended():
            if time.monotonic() > deadline:
                message = f"not all runs have ended in {END_S:g} s"
                raise WrongError(message)
            self.target.tend(0.2)

    def _all_ended(self) -> bool:
        """Their comparison is stored as well: that comes last."""
        with self.target.database.begin() as session:
            missing = select(func.count()).where(Experiment.comparison.is_(None))
            compared = session.execute(missing).scalar_one() == 0
        return compared and all(state.is_finished for state in self.target.count())


def _holds_torch(pid: int) -> bool:
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
