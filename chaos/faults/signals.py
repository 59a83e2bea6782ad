"""Signals to the clinic's processes: children of workers, whole workers, dispatchers, the API, the servers."""

import signal
import time

from chaos.clinic import DISPATCHERS, LEASE_S, WORKERS
from chaos.faults.base import Fault, victim_in
from chaos.processes import send
from chaos.town import Town

STOPPED_S = (0.8, 3.0)
"""Times a lease: beyond it, so that the run is another's when the process wakes; now and then not quite so long."""


def to_a_child(number: signal.Signals) -> Fault:
    def strike(town: Town) -> str | None:
        victim = victim_in(town)
        if victim is None or not send(victim.pid, number):
            return None
        return f"process {victim.pid} of {victim.worker} in attempt {victim.attempt} at {victim.run_id}"

    return strike


def to_a_worker(*numbers: signal.Signals) -> Fault:
    """To the parent of a child that trains: one after the other, a moment apart. The other worker trains as well."""

    def strike(town: Town) -> str | None:
        victim = victim_in(town)
        parent = None if victim is None else town.clinic.pid(victim.worker)
        if victim is None or parent is None or len({one.worker for one in town.under_way()}) < len(WORKERS):
            return None
        if not send(parent, numbers[0]):
            return None
        for number in numbers[1:]:
            time.sleep(town.dice.uniform(0.0, 0.5))
            send(parent, number)
        return f"process {parent}, {victim.worker}, with {victim.run_id} in a child"

    return strike


def every_worker_killed(town: Town) -> str | None:
    held = town.under_way()
    if not held:
        return None
    hit = [pid for name in WORKERS if (pid := town.clinic.pid(name)) is not None and send(pid, signal.SIGKILL)]
    return f"processes {' and '.join(map(str, hit))} with {len(held)} runs under way" if hit else None


def to_a_process(*names: str) -> Fault:
    def strike(town: Town) -> str | None:
        name = town.dice.choice(names)
        pid = town.clinic.pid(name)
        return f"process {pid}, {name}" if pid is not None and send(pid, signal.SIGKILL) else None

    return strike


def child_sleeps(town: Town) -> str | None:
    victim = victim_in(town)
    if victim is None:
        return None
    for_s = town.dice.uniform(*STOPPED_S) * LEASE_S
    if not town.sleepers.stop(victim.pid, for_s):
        return None
    return f"process {victim.pid} of {victim.worker} for {for_s:.1f} s, in attempt {victim.attempt} at {victim.run_id}"


def process_sleeps(*names: str) -> Fault:
    def strike(town: Town) -> str | None:
        name, for_s = town.dice.choice(names), town.dice.uniform(*STOPPED_S) * LEASE_S
        pid = town.clinic.pid(name)
        if pid is None or town.sleepers.holds(pid) or not town.sleepers.stop(pid, for_s):
            return None
        return f"process {pid}, {name}, for {for_s:.1f} s"

    return strike


def postgres_killed(town: Town) -> str | None:
    # A server process that sleeps would keep its shared memory, and the next server from starting.
    town.sleepers.wake(all_of_them=True)
    return to_a_process("postgres")(town)


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
