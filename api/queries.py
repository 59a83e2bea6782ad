"""The queries behind the answers. A constant number of statements for a page, however long it is."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    String,
    Uuid,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.orm import Session, load_only, undefer

from api.http.callers import Caller
from api.http.errors import not_found
from api.http.pagination import Place
from api.views.experiments import (
    BriefResult,
    BriefRun,
    BriefVerdict,
    ExperimentView,
    experiment_view,
    progress_of_run,
)
from gradient_clinic.signals import CURVES, CurveName
from gradient_clinic.verdict.shapes import FirstNonfinite, Kind, RunKind
from models.analysis.comparison.compare import Comparison
from models.runs import comparing
from models.runs.planned import plan_of
from models.runs.progress import progress_of
from models.status import Phase, State
from models.storage.presence import without_worker
from models.storage.tables import Attempt, Experiment, Run
from models.traces.nonfinite import first_broken

Order = Literal["-created", "created", "name", "-name", "state", "-state", "verdict", "-verdict"]
"""By what experiments are sorted, and where that is the same by their making; with a minus both fall."""

_WORDS: Mapping[str, ColumnElement[str]] = {
    "name": func.lower(Experiment.name),
    "state": type_coerce(Experiment.state, String),
    # The constant as it is in the index: a parameter matches it only while a plan is made for its value.
    "verdict": func.coalesce(Experiment.verdict, literal_column("''")),
}
"""What comes before the id, which is in order of time. Each has an index, with the id in it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of the experiments that the caller may see a list holds, and in which order; ``labels``, as key:value, must
    all be there.
    """

    state: State | None = None
    owner: str | None = None
    labels: Sequence[str] = ()
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
    verdict: Kind | None = None
    search: str | None = None
    """Part of the name, large or small letters alike."""
    order: Order = "-created"


def _visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.sees_all else Experiment.owner.in_(caller.visible)


# What nearly every request asks is put together once: that takes as long as asking it.
_SEEN = or_(bindparam("sees_all", type_=Boolean), Experiment.owner == any_(bindparam("owners", type_=ARRAY(String))))
"""``_visible``, by parameters: for one row by its key, where no index hangs on it."""
_EXPERIMENT = select(Experiment).where(Experiment.id == bindparam("id"), _SEEN)
_COMPARED = _EXPERIMENT.options(undefer(Experiment.comparison))
# No stronger: rows that name it, as it will be named itself, can still be written beside it.
_HELD = _COMPARED.with_for_update(read=True, key_share=True)
_RUN = (
    select(Run, Experiment).join(Experiment, Experiment.id == Run.experiment_id).where(Run.id == bindparam("id"), _SEEN)
)
# As an update of the row locks it, and no stronger: rows that refer to the run can still be written beside it.
_LOCKED_RUN = _RUN.with_for_update(of=Run, key_share=True)
_ATTEMPTS = (
    select(Attempt)
    .where(Attempt.run_id == any_(bindparam("run_ids", type_=ARRAY(Uuid))))
    .order_by(Attempt.run_id, Attempt.number)
)
_OUTCOMES = (
    select(Run.outcome, func.count())
    .where(Run.experiment_id == bindparam("id"), Run.outcome.is_not(None))
    .group_by(Run.outcome)
)


def _asked(caller: Caller, identifier: uuid.UUID) -> dict[str, object]:
    return {"id": identifier, "sees_all": caller.sees_all, "owners": list(caller.visible)}


def experiment_of(
    session: Session, caller: Caller, experiment_id: uuid.UUID, *, compared: bool = False, held: bool = False
) -> Experiment:
    """One that the caller may see; another owner's does not exist for it (404). ``compared``: with what is stored of
    its comparison; ``held``: that too, and it cannot be deleted before the transaction ends.
    """
    query = _HELD if held else _COMPARED if compared else _EXPERIMENT
    row = session.execute(query, _asked(caller, experiment_id)).scalar_one_or_none()
    if row is None:
        raise not_found("experiment", experiment_id)
    return row


def experiment_now(session: Session, caller: Caller, experiment_id: uuid.UUID) -> ExperimentView:
    """As ``experiment_of``, with the state of its runs, as it is answered."""
    (view,) = experiment_views(session, [experiment_of(session, caller, experiment_id)])
    return view


def experiment_views(session: Session, rows: Sequence[Experiment]) -> list[ExperimentView]:
    """As they are answered: a statement for all, and one more where some are queued."""
    progress = progress_of(session, [row.id for row in rows])
    queued = [row.id for row in rows if row.state == State.QUEUED]
    waiting = without_worker(session, queued) if queued else ()
    return [experiment_view(row, progress[row.id], without_worker=row.id in waiting) for row in rows]


def comparison_of(session: Session, experiment: Experiment) -> Comparison:
    """The stored one, or that of the runs that have ended; of an experiment that was read ``compared``."""
    if experiment.comparison is None:
        return comparing.compute(session, experiment.id)
    return Comparison.model_validate(experiment.comparison)


def run_of(session: Session, caller: Caller, run_id: uuid.UUID, *, locked: bool = False) -> tuple[Run, Experiment]:
    """One that the caller may see, with its experiment; ``locked``: to be written in this transaction."""
    row = session.execute(_LOCKED_RUN if locked else _RUN, _asked(caller, run_id)).one_or_none()
    if row is None:
        raise not_found("run", run_id)
    return row[0], row[1]


def first_nonfinite_of(session: Session, run: Run, experiment: Experiment) -> FirstNonfinite | None:
    """From the summary where the run has one, else from what is stored so far."""
    if run.summary is not None:
        return run.summary.first_nonfinite
    return first_broken(session, run.id, plan_of(experiment.spec, run), kept=run.raw_dropped_at is None)


def experiments(
    session: Session, caller: Caller, wanted: Filter, after: Place | None, limit: int
) -> list[tuple[Experiment, Place]]:
    """Each with its place, from the one behind ``after`` on."""
    word = _WORDS.get(wanted.order.removeprefix("-"))
    by = [Experiment.id] if word is None else [word, Experiment.id]
    falls = wanted.order.startswith("-")
    shown = literal_column("''", String) if word is None else word
    query = select(Experiment, shown.label("word")).where(_visible(caller), *_conditions(wanted))
    if after is not None:
        here, there = tuple_(*by), tuple_(*(after.word, after.id)[-len(by) :])
        # One comparison of rows, which an index serves from the place on; spelt out with OR it would begin at the
        # first.
        query = query.where(here < there if falls else here > there)
    query = query.order_by(*(one.desc() if falls else one.asc() for one in by)).limit(limit)
    return [(row, Place(wanted.order, row.id, found)) for row, found in session.execute(query)]


def experiments_now(session: Session, caller: Caller, experiment_ids: Collection[uuid.UUID]) -> Sequence[Experiment]:
    """Those of these that there are and that the caller may see, without their specs and comparisons."""
    asked = Experiment.id == any_(literal(list(experiment_ids), ARRAY(Uuid)))
    columns = load_only(Experiment.state, Experiment.verdict, Experiment.started_at, raiseload=True)
    query = select(Experiment).where(_visible(caller), asked).order_by(Experiment.id).options(columns)
    return session.execute(query).scalars().all()


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.state is not None:
        yield Experiment.state == wanted.state
    if wanted.owner is not None:
        yield Experiment.owner == wanted.owner
    for label in wanted.labels:
        # Keys and values may hold colons themselves; each of them may be the one between.
        colons = [at for at, character in enumerate(label) if character == ":"]
        yield or_(*(Experiment.labels.contains({label[:at]: label[at + 1 :]}) for at in colons))
    if wanted.created_after is not None:
        yield Experiment.created_at > wanted.created_after
    if wanted.created_before is not None:
        yield Experiment.created_at < wanted.created_before
    if wanted.verdict is not None:
        yield Experiment.verdict == wanted.verdict
    if wanted.search is not None:
        # No index serves a part of a name: a rare one looks through all that the caller may see.
        yield Experiment.name.icontains(wanted.search, autoescape=True)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs of an experiment a list holds."""

    state: State | None = None
    phase: Phase | None = None
    variant: str | None = None
    verdict: RunKind | None = None


def runs(session: Session, experiment_id: uuid.UUID, wanted: RunFilter, after: int | None, limit: int) -> Sequence[Run]:
    conditions = _wanted_runs(experiment_id, wanted, after)
    return session.execute(select(Run).where(*conditions).order_by(Run.position).limit(limit)).scalars().all()


def _wanted_runs(experiment_id: uuid.UUID, wanted: RunFilter, after: int | None) -> Iterator[ColumnElement[bool]]:
    yield Run.experiment_id == experiment_id
    if after is not None:
        yield Run.position > after
    given = {Run.state: wanted.state, Run.phase: wanted.phase, Run.variant: wanted.variant}
    yield from (column == value for column, value in given.items() if value is not None)
    if wanted.verdict is not None:
        yield _of_summary("verdict", "kind") == wanted.verdict


def _of_summary(*path: str) -> ColumnElement[str]:
    return func.jsonb_extract_path_text(Run.summary, *path)


_BRIEF = select(
    Run.position,
    Run.id,
    Run.variant,
    Run.seed,
    Run.phase,
    Run.learning_rate,
    Run.state,
    Run.outcome,
    Run.step,
    Run.steps,
    Run.trace_every,
    _of_summary("verdict", "kind").label("kind"),
    _of_summary("verdict", "trained").label("trained"),
    _of_summary("final_loss").label("final_loss"),
    _of_summary("facts", "test_metric").label("test_metric"),
    _of_summary("facts", "device_seconds").label("device_seconds"),
)


def brief_runs(
    session: Session, experiment_id: uuid.UUID, wanted: RunFilter, after: int | None, limit: int
) -> list[tuple[int, BriefRun]]:
    """Each with its position. Of their summaries, which are long, the database hands over what is shown."""
    query = _BRIEF.where(*_wanted_runs(experiment_id, wanted, after)).order_by(Run.position).limit(limit)
    return [(row.position, _brief(row)) for row in session.execute(query)]


def _brief(row: Row[*tuple[Any, ...]]) -> BriefRun:
    ended = row.kind is not None
    # Numbers come as text, which knows NaN and ±∞ as well.
    numbers = {name: getattr(row, name) for name in BriefResult.model_fields}
    return BriefRun(
        id=str(row.id),
        variant=row.variant,
        seed=row.seed,
        phase=row.phase,
        learning_rate=row.learning_rate,
        state=row.state,
        outcome=row.outcome,
        progress=progress_of_run(row.state, row.step, row.steps),
        trace_every=row.trace_every,
        verdict=BriefVerdict(kind=row.kind, trained=row.trained) if ended else None,
        result=BriefResult(**{name: text and float(text) for name, text in numbers.items()}) if ended else None,
    )


def first_runs(session: Session, experiment: Experiment) -> dict[str, Run]:
    """By variant in their order, the first of its runs that are compared: that under the first seed."""
    query = (
        select(Run)
        .ext(distinct_on(Run.variant))
        .where(Run.experiment_id == experiment.id, Run.phase == Phase.TRIAL)
        .order_by(Run.variant, Run.position)
    )
    # DISTINCT ON has to sort by variant, and positions have them in the order of the spec.
    found = sorted(session.execute(query).scalars(), key=lambda run: run.position)
    return {run.variant: run for run in found}


@dataclass(frozen=True, slots=True)
class TrialRun:
    """``kept``: retention has not dropped its raw values. ``told``: the curves that it has, not all of a log."""

    id: uuid.UUID
    kept: bool
    told: Sequence[CurveName] = CURVES


def trials(session: Session, experiment_id: uuid.UUID) -> dict[str, list[TrialRun]]:
    """By variant in their order, its runs that are compared, without what is stored of them."""
    query = select(Run.variant, Run.id, Run.raw_dropped_at.is_(None), Run.watched)
    query = query.where(Run.experiment_id == experiment_id, Run.phase == Phase.TRIAL).order_by(Run.position)
    found: dict[str, list[TrialRun]] = {}
    for variant, run_id, kept, watched in session.execute(query):
        told = CURVES if watched is None else watched.curves
        found.setdefault(variant, []).append(TrialRun(run_id, kept, told))
    return found


def trial_of(session: Session, experiment_id: uuid.UUID, variant: str, seed: int) -> Run | None:
    """The run of the variant that is compared under this seed; where there is none, under its first."""
    query = select(Run).where(Run.experiment_id == experiment_id, Run.phase == Phase.TRIAL, Run.variant == variant)
    return session.execute(query.order_by((Run.seed == seed).desc(), Run.position).limit(1)).scalar_one_or_none()


def mean_chance_level(session: Session, experiment_id: uuid.UUID) -> float | None:
    """Splits drawn by the run's own seed differ in the third digit."""
    query = select(func.avg(Run.chance_level)).where(Run.experiment_id == experiment_id)
    mean: float | None = session.execute(query).scalar_one()
    return mean


def outcomes_of(session: Session, experiment_id: uuid.UUID) -> dict[str, int]:
    """How many of its runs have each outcome."""
    return {str(outcome): count for outcome, count in session.execute(_OUTCOMES, {"id": experiment_id})}


def attempts_of(session: Session, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Attempt]]:
    found: dict[uuid.UUID, list[Attempt]] = {run_id: [] for run_id in run_ids}
    for attempt in session.execute(_ATTEMPTS, {"run_ids": list(run_ids)}).scalars():
        found[attempt.run_id].append(attempt)
    return found


def runs_by_state(session: Session) -> dict[State, int]:
    """How many runs of all owners are in each state; 0 where there is none."""
    found = session.execute(select(Run.state, func.count()).group_by(Run.state))
    return dict.fromkeys(State, 0) | {State(state): count for state, count in found}
