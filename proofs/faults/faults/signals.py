"""Signals to the clinic's processes: children of workers, whole workers, dispatchers, the API, the servers."""

import signal
import time

from proofs.faults.faults.base import Fault, victim_in
from proofs.faults.processes import send
from proofs.faults.target import DISPATCHERS, LEASE_S, WORKERS, Target

STOPPED_S = (0.8, 3.0)
"""In leases: mostly longer than one, so that the run is another's when the process wakes; now and then shorter."""


def to_a_child(number: signal.Signals) -> Fault:
    def strike(target: Target) -> str | None:
        victim = victim_in(target)
        if victim is None or not send(victim.pid, number):
            return None
        return f"process {victim.pid} of {victim.worker} in attempt {victim.attempt} at {victim.run_id}"

    return strike


def to_a_worker(*numbers: signal.Signals) -> Fault:
    """To the parent of a child that trains: one after the other, a moment apart. The other worker trains as well."""

    def strike(target: Target) -> str | None:
        victim = victim_in(target)
        parent = None if victim is None else target.clinic.pid(victim.worker)
        # Only while the other one trains too: else this would be "every worker killed", which has a place of its own.
        if victim is None or parent is None or len({run.worker for run in target.under_way()}) < len(WORKERS):
            return None
        if not send(parent, numbers[0]):
            return None
        for number in numbers[1:]:
            # From at once to well within the orderly end that the one before has begun.
            time.sleep(target.rng.uniform(0.0, 0.5))
            send(parent, number)
        return f"process {parent}, {victim.worker}, with {victim.run_id} in a child"

    return strike


def every_worker_killed(target: Target) -> str | None:
    held = target.under_way()
    if not held:
        return None
    hit = [pid for name in WORKERS if (pid := target.clinic.pid(name)) is not None and send(pid, signal.SIGKILL)]
    return f"processes {' and '.join(map(str, hit))} with {len(held)} runs under way" if hit else None


def to_a_process(*names: str) -> Fault:
    def strike(target: Target) -> str | None:
        name = target.rng.choice(names)
        pid = target.clinic.pid(name)
        return f"process {pid}, {name}" if pid is not None and send(pid, signal.SIGKILL) else None

    return strike


def child_sleeps(target: Target) -> str | None:
    victim = victim_in(target)
    if victim is None:
        return None
    for_s = target.rng.uniform(*STOPPED_S) * LEASE_S
    if not target.sleepers.stop(victim.pid, for_s):
        return None
    return f"process {victim.pid} of {victim.worker} for {for_s:.1f} s, in attempt {victim.attempt} at {victim.run_id}"


def process_sleeps(*names: str) -> Fault:
    def strike(target: Target) -> str | None:
        name, for_s = target.rng.choice(names), target.rng.uniform(*STOPPED_S) * LEASE_S
        pid = target.clinic.pid(name)
        if pid is None or target.sleepers.holds(pid) or not target.sleepers.stop(pid, for_s):
            return None
        return f"process {pid}, {name}, for {for_s:.1f} s"

    return strike


def postgres_killed(target: Target) -> str | None:
    # A server process that sleeps would keep its shared memory, and the next server from starting.
    target.sleepers.wake(all_of_them=True)
    return to_a_process("postgres")(target)


SIGNALS = {
    "child killed": to_a_child(signal.SIGKILL),
    "child terminated": to_a_child(signal.SIGTERM),
    "child stopped": child_sleeps,
    "worker killed": to_a_worker(signal.SIGKILL),
    "every worker killed": every_worker_killed,
    "worker terminated": to_a_worker(signal.SIGTERM),
    "worker terminated twice": to_a_worker(signal.SIGTERM, signal.SIGTERM),
    "worker quit": to_a_worker(signal.SIGQUIT),
    "worker quit twice": to_a_worker(signal.SIGQUIT, signal.SIGQUIT),
    "dispatcher killed": to_a_process(*DISPATCHERS),
    "dispatcher stopped": process_sleeps(*DISPATCHERS),
    "api killed": to_a_process("api"),
    "api stopped": process_sleeps("api"),
    "redis killed": to_a_process("redis"),
    "postgres killed": postgres_killed,
}
