"""Which runs are next, beside a slow oracle that sorts all of them, and how many rows it takes to find out."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text, update

from models import runs
from models.plan import expand
from models.runs import queueing
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.statements import plan_of, sent_to

WINDOW = 3
STALE_S = 60.0
STATES = ("queued", "queued", "queued", "published", "running", "succeeded")


@dataclass(frozen=True)
class Asked:
    """An experiment, its runs by their states in order."""

    owner: str
    priority: int
    max_parallel: int | None
    states: tuple[str, ...]


ASKED = st.builds(
    Asked,
    owner=st.sampled_from("ab"),
    priority=st.integers(0, 1),
    max_parallel=st.none() | st.integers(1, 3),
    states=st.lists(st.sampled_from(STATES), min_size=1, max_size=8).map(tuple),
)


def expected(asked: Sequence[Asked], owner_limit: int | None) -> list[tuple[int, int]]:
    """(experiment, position) in order, as the docstring of ``take_unpublished`` has it."""
    under_way = [sum(state in {"published", "running"} for state in its.states) for its in asked]
    busy = Counter[str]()
    for its, many in zip(asked, under_way, strict=True):
        busy[its.owner] += many
    unclaimed = sum(its.states.count("published") for its in asked)
    waiting = []
    for number in sorted(range(len(asked)), key=lambda number: (-asked[number].priority, number)):
        its, abreast = asked[number], under_way[number]
        for position, state in enumerate(its.states):
            if state != "queued":
                continue
            abreast += 1
            if its.max_parallel is not None and abreast > its.max_parallel:
                continue
            busy[its.owner] += 1
            waiting.append((-its.priority, busy[its.owner], number, position))
    fitting = [one for one in sorted(waiting) if owner_limit is None or one[1] <= owner_limit]
    return [(number, position) for _, _, number, position in fitting[: max(0, WINDOW - unclaimed)]]


def spec(**changes: Any) -> ExperimentSpec:
    asked = {
        "name": "order",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": 2, "width": 4},
        "optimizer": {"kind": "sgd"},
        "steps": 1,
        **changes,
    }
    return ExperimentSpec.model_validate(asked)


def stored(database: Database, asked: Sequence[Asked]) -> list[uuid.UUID]:
    made = []
    with database.begin() as session:
        session.execute(text("TRUNCATE experiment CASCADE"))
        for its in asked:
            about = spec(seeds={"count": len(its.states)}, priority=its.priority, max_parallel=its.max_parallel)
            made.append(runs.submit(session, about, expand(about), its.owner))
    for number, (its, experiment_id) in enumerate(zip(asked, made, strict=True)):
        with database.begin() as session:
            at = func.now() - runs.seconds(len(asked) - number)
            session.execute(update(Experiment).where(Experiment.id == experiment_id).values(created_at=at))
            for position, state in enumerate(its.states):
                values = ({"published_at": func.clock_timestamp()} if state in {"published", "running"} else {}) | (
                    {} if state == "published" else {"state": state}
                )
                session.execute(
                    update(Run).where(Run.experiment_id == experiment_id, Run.position == position).values(**values)
                )
    return made


@settings(max_examples=60)
@given(asked=st.lists(ASKED, min_size=1, max_size=4), owner_limit=st.none() | st.integers(1, 5))
def test_the_next_runs_are_those_that_sorting_all_of_them_finds(
    database: Database, asked: list[Asked], owner_limit: int | None
) -> None:
    made = stored(database, asked)
    with database.begin() as session:
        chosen = [one.run_id for one in queueing.take_unpublished(session, WINDOW, STALE_S, owner_limit)]
        found = session.execute(select(Run.id, Run.experiment_id, Run.position).where(Run.id.in_(chosen))).all()
    places = {row.id: (made.index(row.experiment_id), row.position) for row in found}
    assert [places[run_id] for run_id in chosen] == expected(asked, owner_limit)


def test_of_thousands_of_runs_that_wait_few_are_looked_at(database: Database) -> None:
    """A look comes with each claim and each end of a run."""
    about = spec(seeds=[0])
    with database.begin() as session:
        many = runs.submit(session, about, expand(about), "local")
        one = {"variant": "baseline", "seed": 0, "steps": 1, "state": "queued", "experiment_id": many}
        session.execute(insert(Run), [one | {"id": uuid.uuid4(), "position": at} for at in range(1, 3_000)])
        session.execute(text("ANALYZE run"))
    with sent_to(database) as statements, database.begin() as session:
        queueing.take_unpublished(session, WINDOW, STALE_S)
    (asked,) = [sent for sent in statements if "WITH asked" in sent.statement]
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in plan_of(database, asked)) <= 2 * WINDOW
