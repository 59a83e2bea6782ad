"""Faults of PostgreSQL and of what is in it: connections cut, servers that stutter or hang, a lease taken away."""

import uuid

from sqlalchemy import select, text, update

from models.status import State
from models.storage.tables import Run
from proofs.faults.faults.base import victim_in
from proofs.faults.processes import children
from proofs.faults.target import LEASE_S, Target

_OTHERS = (
    "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
    "AND datname = current_database()"
)
_CUT = text(f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) {_OTHERS}")
_SERVING = text(f"SELECT pid {_OTHERS} ORDER BY pid")


def cut(target: Target) -> str | None:
    """The server lives on, so that whoever writes can say at once what happened to it, and be wrong."""
    with target.database.begin() as session:
        number = session.execute(_CUT).scalar_one()
    return f"{number} connections to the database" if number else None


def take_lease(target: Target) -> str | None:
    victim = victim_in(target)
    if victim is None:
        return None
    with target.database.begin() as session:
        taken = session.execute(
            update(Run)
            # Of this attempt alone: the run may have gone on to another since it was chosen.
            .where(Run.id == victim.run_id, Run.state == State.RUNNING, Run.attempt == victim.attempt)
            .values(lease_token=uuid.uuid4())
            .returning(Run.id)
        ).one_or_none()
    return None if taken is None else f"the lease of process {victim.pid} on {victim.run_id}"


def stutter(target: Target) -> str | None:
    """The whole server stands still, again and again for a moment."""
    parent = target.clinic.pid("postgres")
    moments = [target.rng.uniform(0.1, 0.5) for _ in range(target.rng.randint(2, 5))]
    hit = 0
    for moment_s in moments:
        pids = [] if parent is None else [parent, *children(parent)]
        hit = sum(target.sleepers.stop(pid, moment_s) for pid in pids if not target.sleepers.holds(pid))
        target.tend(moment_s + 0.05)
        # It breathes in between: work goes on for a moment, so that the next stop lands in the midst of it.
        target.tend(moment_s / 2)
    return f"{hit} server processes, {len(moments)} times for 0.1 to 0.5 s" if hit else None


def hang(target: Target) -> str | None:
    """Those who serve a client stand still, most of them beyond a lease, with all the locks that they hold."""
    with target.database.begin() as session:
        serving = list(session.execute(_SERVING).scalars())
    # Not all: those that go on wait for the locks of those that stand still.
    chosen = [pid for pid in serving if target.rng.random() < 0.7 and not target.sleepers.holds(pid)]
    hit = sum(target.sleepers.stop(pid, target.rng.uniform(0.3, 1.8) * LEASE_S) for pid in chosen)
    return f"{hit} of {len(serving)} processes that serve a client, for up to {1.8 * LEASE_S:.1f} s" if hit else None


def lock(target: Target) -> str | None:
    """A run's row is locked by somebody else for longer than its lease: neither beat nor flush gets through."""
    victim = victim_in(target)
    if victim is None:
        return None
    with target.database.begin() as session:
        # There is one connection: nothing that is tended meanwhile may ask the database.
        # Held by this transaction's being open while time goes by.
        session.execute(select(Run.id).where(Run.id == victim.run_id).with_for_update())
        target.tend(target.rng.uniform(0.5, 1.5) * LEASE_S)
    return f"the row of {victim.run_id}, locked"


DATABASE = {
    "connections cut": cut,
    "lease taken": take_lease,
    "postgres stutters": stutter,
    "postgres hangs": hang,
    "row locked": lock,
}
