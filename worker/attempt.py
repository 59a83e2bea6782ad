"""One attempt at a run, from claim to finish: joins the engine, the recorder, checkpoints and the heart.

The only module with torch in it that ``worker.tasks`` imports, and only inside a function.
"""

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import psycopg
import structlog
import torch
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from gradient_clinic.probe.meters.host import warm_up
from models import heap, runs
from models.analysis.verdict.summary import summarise
from models.plan import Plan, plan_variant
from models.plan.watched import AnyPlan, WatchedPlan, plan_code, rows_of
from models.runs import Checkpoint, Claim, comparing
from models.settings import Settings
from models.status import State
from models.storage.checkpoints import CheckpointFiles
from models.storage.database import Database
from models.traces.ending import read_ending
from worker.app import asked_to_stop
from worker.beside import Beside
from worker.beside_on_device import BesideOnDevice
from worker.cadence import cadence
from worker.checkpoints import Keeper, unpacked
from worker.datasets.split import TrialData
from worker.engine import train
from worker.found import found_of
from worker.groups.group import Group, Member
from worker.heart import Heart, Watch
from worker.plugins import shelf as plugins
from worker.plugins.cases import data_of
from worker.plugins.shelf import Shelf
from worker.publication import Publication
from worker.recorder import LeaseLostError, Recorder, Recorders
from worker.results import RunResult, Seen, StateRefusedError, TrainState
from worker.slots import worker_name
from worker.telling import explained, versions_of
from worker.trainer import Trainer
from worker.underway import CancelRequestedError, HandedBackError, Underway

log = structlog.get_logger()

AWAY_S = 0.5
"""Between two looks for a database that is away."""


def prepare(*, gpu: bool) -> None:
    """The same numbers on every attempt, and compiled kernels where the CPU trains. It starts no thread, so that a fork
    may follow; once more costs nothing.
    """
    torch.use_deterministic_algorithms(mode=True)
    if not gpu:
        warm_up()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What one worker process keeps between runs."""

    settings: Settings
    database: Database
    heart: Heart
    files: CheckpointFiles
    device: torch.device
    name: str
    shelf: Shelf
    beside: Beside

    @classmethod
    def open(cls, settings: Settings, *, gpu: bool) -> "Workshop":
        """Call it in the child, after the fork."""
        prepare(gpu=gpu)
        torch.set_num_threads(settings.threads_per_worker)
        # Here and not in the parent: neither a connection nor the heart's thread would survive the fork.
        database = Database(*settings.database_urls(), pool_size=2, max_overflow=1, silence_s=settings.silence_s)
        device = torch.device("cuda" if gpu else "cpu")
        shelf = plugins.load(settings.plugins)
        publication = Publication(database, shelf.offers)
        heart, files = Heart(database, settings.lease_s, publication.renew), CheckpointFiles(settings.files_url())
        name = worker_name(os.getpid())
        beside = (
            BesideOnDevice(settings, database, device, name, shelf=shelf)
            if gpu
            else Beside(settings, database, device, name)
        )
        return cls(settings, database, heart, files, device, name, shelf, beside)

    def close(self) -> None:
        self.heart.close()
        self.database.dispose()

    def carry_out(self, run_id: uuid.UUID) -> None:
        """Claim, train, store. Whatever happens, the run row says so, or its lease lapses and another takes it."""
        claim = self._claim(run_id)
        # Committed: no transaction is open while the run trains, however long that takes.
        if claim is None:
            return
        with self.heart.watch(claim.lease):  # a trial of what is faster takes its time
            claims = [claim, *self.beside.claimed(claim)]
        if self.beside.are_one(claims):
            self._train_together(claims)
        else:
            with self.heart.watch(claim.lease) as watch:
                self._ended_by(claim, partial(self._train, claim, watch))
        heap.give_back()

    def _claim(self, run_id: uuid.UUID) -> Claim | None:
        """None where the run is not to be had.

        While the database is away the slot stays busy with this one message. If it fell idle, it would swallow those of
        all runs, one after the other, and a worker that does reach the database would hear of none.
        """
        limit, told = self.settings.max_parallel_per_owner, False
        while not asked_to_stop():
            try:
                with self.database.begin() as session:
                    lease_s, plugins = self.settings.lease_s, self.shelf.plugins.keys()
                    return runs.claim(session, run_id, self.name, lease_s, limit, plugins)
            except (OperationalError, InterfaceError) as error:
                if not told:
                    log.warning("the database is away; this slot waits for it", run=str(run_id), error=str(error))
                told = True
                time.sleep(AWAY_S)
        return None

    def _ended_by(self, claim: Claim, train: Callable[[], None]) -> None:
        """``train``, and what the run row is to say where it ends in an error."""
        try:
            train()
        except LeaseLostError:
            log.warning("the lease was lost; another worker has the run", run=str(claim.lease.run_id))
        except CancelRequestedError:
            self._close_run(claim, State.CANCELLED)
        except HandedBackError:
            self._close_run(claim, State.QUEUED)
        except (DBAPIError, psycopg.Error) as error:  # psycopg's own come from COPY
            log.warning("the database is away; the lease will lapse", run=str(claim.lease.run_id), error=str(error))
            return  # whoever ends the run settles it; asking again would hold this slot for nothing
        except Exception as error:  # the task's edge: the reason must reach the run row
            log.exception("the run failed", run=str(claim.lease.run_id))
            self._close_run(claim, State.FAILED, explained(error, claim.spec))
        with self.database.begin() as session:  # whoever ends an experiment's last run stores its comparison
            comparing.store_if_ended(session, claim.lease.experiment_id)

    # --- several runs as one --------------------------------------------------------------------------------------

    def _train_together(self, claims: Sequence[Claim]) -> None:
        pace, refused = self.beside.pace(claims), list[Claim]()
        with ExitStack() as watching:
            watches = [watching.enter_context(self.heart.watch(claim.lease)) for claim in claims]
            ways, trainers = list[Underway](), list[Trainer]()
            for claim, watch in zip(claims, watches, strict=True):
                try:
                    way, trainer = self._begun(claim, watch)
                except StateRefusedError as error:
                    self._say_refused(claim, error)
                    refused.append(claim)
                except Exception as error:  # noqa: BLE001 -- one that cannot begin must not end the others
                    self._ended_by(claim, partial(_fails, error))
                else:
                    ways.append(way)
                    trainers.append(trainer)
            wanted = self.beside.wanted([way.keeper for way in ways])
            members = [
                Member(trainer, way.between_steps, due)
                for way, trainer, due in zip(ways, trainers, wanted, strict=True)
            ]
            group, apart = Group(members, pace, self.beside.joining), pace.is_apart
            Recorders([way.recorder for way in ways])
            for number, seen in group.train():
                self._take(group, number, ways[number], seen)
                if pace.is_apart and not apart:
                    apart = True
                    self.beside.tell_apart(claims)
        for claim in refused:
            self._ended_by(claim, partial(self._train_anew, claim))

    def _begun(self, claim: Claim, watch: Watch) -> tuple[Underway, Trainer]:
        plan = plan_variant(claim.spec, claim.variant).at_rate(claim.learning_rate)
        data = data_of(plan.dataset, claim.seed, self.settings.files_url(), self.shelf)
        way = self._underway(claim, watch, plan, plan, data, claim.checkpoint)
        trainer = Trainer(plan, data, seed=claim.seed, device=self.device, dtype=torch.float32, record=True)
        if claim.checkpoint is not None:
            trainer.resume(self._state_at(claim, claim.checkpoint))
        return way, trainer

    def _train_anew(self, claim: Claim) -> None:
        """A member whose checkpoint is of no use: the others of its group are further on."""
        self._start_over(claim)
        self._train_together([replace(claim, checkpoint=None)])

    def _take(self, group: Group, number: int, way: Underway, seen: Seen | Exception) -> None:
        result, error = None, seen if isinstance(seen, Exception) else None
        if not isinstance(seen, Exception):
            try:
                result = way.take(seen)
            except Exception as its:  # noqa: BLE001 -- told below, to this run alone
                error = its
        if error is None and result is None:
            return
        group.leave(number)
        if way.recorder.beside is not None:
            way.recorder.beside.leave(way.recorder)
        self._ended_by(way.claim, partial(self._finish, way, result) if result is not None else partial(_fails, error))

    # --- one run --------------------------------------------------------------------------------------------------

    def _train(self, claim: Claim, watch: Watch) -> None:
        plan = plan_variant(claim.spec, claim.variant).at_rate(claim.learning_rate)
        data = data_of(plan.dataset, claim.seed, self.settings.files_url(), self.shelf)
        if plan.experiment.trace.budget is not None:
            plan = self._within_budget(claim, plan, data)
        recorded = self._found(claim, plan, data) if plan.network.kind == "plugin" else plan
        begin = partial(self._underway, claim, watch, plan, recorded, data)
        try:
            self._go_through(begin(claim.checkpoint), data)
        except StateRefusedError as refused:
            self._say_refused(claim, refused)
            # Nothing of this attempt is recorded yet; what earlier ones have stored goes with their checkpoint.
            self._start_over(claim)
            self._go_through(begin(), data)

    def _found(self, claim: Claim, plan: Plan, data: TrialData) -> WatchedPlan:
        """The plan with the layers that a plug-in's network has, which are stored before the first record."""
        found = found_of(plan, data, seed=claim.seed, device=self.device, shelf=self.shelf)
        with self.database.begin() as session:
            if not runs.keep_found(session, claim.lease, found):
                raise LeaseLostError
        return plan_code(plan, found)

    def _go_through(self, way: Underway, data: TrialData) -> None:
        """From its checkpoint, or from step 0, to the end."""
        state = None if way.keeper.last is None else self._state_at(way.claim, way.keeper.last)
        result: RunResult | None = None
        for seen in train(
            way.plan,
            data,
            seed=way.claim.seed,
            device=self.device,
            between_steps=way.between_steps,
            state=state,
            wanted=way.keeper.due,
            shelf=self.shelf,
        ):
            result = way.take(seen)
        assert result is not None  # the engine's last word
        self._finish(way, result)

    def _underway(  # noqa: PLR0913, PLR0917 -- a run, how it is trained and how it is read
        self,
        claim: Claim,
        watch: Watch,
        plan: Plan,
        recorded: AnyPlan,
        data: TrialData,
        checkpoint: Checkpoint | None = None,
    ) -> Underway:
        """``recorded``: the plan as its traces are read."""
        first = 0 if checkpoint is None else checkpoint.step
        recorder = Recorder(self.database, claim.lease, self.settings.lease_s, plan, first, rows_of(recorded))
        recorder.chance_level = data.chance_level(plan.objective)
        keeper = Keeper(self.files, recorder, self.device, self.settings.checkpoint_s, checkpoint)
        return Underway(claim, watch, plan, recorded, recorder, keeper, first)

    def _state_at(self, claim: Claim, checkpoint: Checkpoint) -> TrainState:
        try:
            state = unpacked(self.files.read(checkpoint.path), self.device)
        except OSError as error:
            raise StateRefusedError(str(error)) from error
        log.info("going on from a checkpoint", run=str(claim.lease.run_id), step=checkpoint.step)
        return state

    @staticmethod
    def _say_refused(claim: Claim, refused: StateRefusedError) -> None:
        log.warning("the checkpoint is of no use; from step 0 again", run=str(claim.lease.run_id), why=str(refused))

    def _start_over(self, claim: Claim) -> None:
        with self.database.begin() as session:
            if not runs.start_over(session, claim.lease):
                raise LeaseLostError

    def _within_budget(self, claim: Claim, plan: Plan, data: TrialData) -> Plan:
        """The plan with the cadence that keeps the recording budget. The first attempt measures it for all."""
        every = claim.trace_every
        if every is None:
            every = cadence(plan, data, seed=claim.seed, device=self.device, shelf=self.shelf)
            with self.database.begin() as session:
                if not runs.keep_cadence(session, claim.lease, every):
                    raise LeaseLostError
        # Later attempts take the stored one: rows of one run have one stride.
        return plan.recording_every(every)

    def _finish(self, way: Underway, result: RunResult) -> None:
        """The last rows, the verdict and the end of the run, all or nothing."""
        claim, plan, recorded, recorder = way.claim, way.plan, way.recorded, way.recorder
        with self.database.begin() as session:
            recorder.write(session, result.steps_done - 1, ended=True)
            # Read back in this transaction, which alone sees the last rows.
            facts = replace(result.facts(plan), parameters=recorded.network.parameters)
            summary = summarise(recorded, read_ending(session, claim.lease.run_id, recorded, facts), facts)
            versions = versions_of(claim.spec)
            # Where the lease is void, the exception takes the last rows back as well.
            if not runs.finish(session, claim.lease, summary, str(result.device), versions, recorder.loss):
                raise LeaseLostError

    def _close_run(self, claim: Claim, state: State, error: Mapping[str, str] | None = None) -> None:
        with self.database.begin() as session:
            if state is State.CANCELLED:
                runs.stop(session, claim.lease)
            elif state is State.QUEUED:
                runs.give_back(session, claim.lease, "handed back by a worker that was shut down")
            else:
                runs.fail(session, claim.lease, error or {})


def _fails(error: Exception | None) -> None:
    assert error is not None
    raise error
