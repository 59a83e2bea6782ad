"""``python -m proofs.speed.notify``: whether the commits of many workers wait for each other.

Threads that only write, each the trace of a run of an experiment of its own, through the same statements as a worker's
flush. In turns with them the same flushes that also notify in the transaction of their trace, as they once did. On the
disk of this machine, and as on one that takes some milliseconds to write (PostgreSQL's own ``commit_delay``).
"""

import argparse
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from sqlalchemy.engine import make_url

from gradient_clinic.signals import SIGNALS
from models import runs
from models.plan import Plan
from models.runs import Lease, events
from models.storage.database import Database
from models.traces.writer import Block
from proofs.clinic import scratch
from proofs.speed import made, report

LAYERS: Final = 4
RECORDS: Final = 10
"""Of each flush: the open chunk, replaced again and again."""
WRITERS: Final = (1, 4, 16, 64)
DELAYS_US: Final = {"this disk": 0, "a disk of 5 ms": 5_000}
"""Added to every write of the log that a commit waits for; commits that wait together share it."""
OURS, ONCE = "told apart", "notified with the trace"
SPEC: Final = {
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": LAYERS, "width": 8},
    "optimizer": {"kind": "sgd"},
    "steps": RECORDS,
}
Claimed = tuple[Lease, Plan]
Flush = Callable[[Database, Lease, Plan, Block], None]


def _told_apart(database: Database, lease: Lease, plan: Plan, block: Block) -> None:
    with database.begin() as session:
        runs.beat(session, lease, made.LEASE_S, step=RECORDS)
        made.writer(lease, plan).write(session, [block])
    with database.begin() as session:
        events.outlives_no_crash(session)
        events.tell_progress(session, lease.experiment_id, lease.run_id, 1.0)


def _notified(database: Database, lease: Lease, plan: Plan, block: Block) -> None:
    with database.begin() as session:
        runs.beat(session, lease, made.LEASE_S, step=RECORDS)
        made.writer(lease, plan).write(session, [block])
        events.wake(session, [lease.experiment_id])
        events.tell_progress(session, lease.experiment_id, lease.run_id, 1.0)


ARMS: Final[dict[str, Flush]] = {OURS: _told_apart, ONCE: _notified}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each arm, number of writers and round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with scratch() as on:
        # Experiments of their own: writers of one would wait for its row, whatever they notify.
        claimed = [_claimed(on.database, number) for number in range(max(WRITERS))]
        figures = {disk: measure(on.url, delay, claimed, options) for disk, delay in DELAYS_US.items()}
    report.save("notify", {"experiment": SPEC, "layers": LAYERS, "records": RECORDS, **vars(options)}, figures)
    show(figures)


def measure(url: str, delay_us: int, claimed: list[Claimed], options: argparse.Namespace) -> dict[str, Any]:
    """By number of writers: flushes a second of each arm, and ours over the other, in the median of the rounds."""
    # By default the delay is waited for only where five others are under way; with 0 the lone writer pays it too.
    slow = make_url(url).update_query_dict({"options": f"-c commit_delay={delay_us} -c commit_siblings=0"})
    # A connection for each thread: what is waited for must be the commit.
    database = Database(slow.render_as_string(hide_password=False), pool_size=max(WRITERS), max_overflow=0)
    figures: dict[str, Any] = {}
    for writers in WRITERS:
        rates: dict[str, list[float]] = {arm: [] for arm in ARMS}
        for _ in range(options.rounds):
            for arm, flush in ARMS.items():
                rates[arm].append(_rate(database, claimed[:writers], flush, options.seconds))
        by_arm = {arm: report.spread(found)["p50"] for arm, found in rates.items()}
        figures[str(writers)] = by_arm | {"ratio": round(by_arm[OURS] / by_arm[ONCE], 2)}
    database.dispose()
    return figures


def _claimed(database: Database, number: int) -> Claimed:
    _, [run_id] = made.submit(database, made.spec(**SPEC, name=f"writer {number}"))
    return made.claim(database, run_id)


def _rate(database: Database, claimed: list[Claimed], flush: Flush, seconds: float) -> float:
    """Flushes a second of all writers together."""
    signals, curves = made.values(LAYERS, RECORDS, seed=report.SEED)
    block = Block(0, signals, curves)
    begin = threading.Barrier(len(claimed) + 1)

    def write(lease: Lease, plan: Plan) -> int:
        begin.wait()
        flushes, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            flush(database, lease, plan, block)
            flushes += 1
        return flushes

    with ThreadPoolExecutor(len(claimed)) as pool:
        writing = [pool.submit(write, *one) for one in claimed]
        begin.wait()
        began = time.perf_counter()
        flushes = sum(one.result() for one in writing)
        return flushes / (time.perf_counter() - began)


def show(figures: dict[str, Any]) -> None:
    lines = [
        (f"{writers}, {disk}", found[OURS], found[ONCE], found["ratio"])
        for disk, by_writers in figures.items()
        for writers, found in by_writers.items()
    ]
    title = f"Flushes a second: {LAYERS} layers × {len(SIGNALS)} signals × {RECORDS} records, commits wait for the disk"
    report.show(title, ("writers", OURS, ONCE, "ratio"), lines)


if __name__ == "__main__":
    main()
