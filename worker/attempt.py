"""One attempt at a run, from claim to finish: joins the engine, the recorder, checkpoints and the heart.

The only module with torch in it that ``worker.tasks`` imports, and only inside a function.
"""

import itertools
import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import psycopg
import structlog
import torch
from sqlalchemy.exc import DBAPIError

from gradient_clinic.probe.meters.host import warm_up
from gradient_clinic.probe.probe import StepRecord
from models import heap, runs
from models.analysis.verdict.summary import summarise
from models.plan import Plan, plan_variant
from models.plan.watched import AnyPlan, WatchedPlan, plan_code, rows_of
from models.runs import Checkpoint, Claim, comparing
from models.settings import Settings
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.plugin import plugins_of
from models.status import State
from models.storage.checkpoints import CheckpointFiles
from models.storage.database import Database
from models.traces.ending import read_ending
from worker.app import asked_to_stop
from worker.cadence import cadence
from worker.checkpoints import Keeper, unpacked
from worker.datasets.split import TrialData
from worker.engine import train
from worker.found import found_of
from worker.heart import Heart, Watch
from worker.plugins import shelf as plugins
from worker.plugins.blame import PluginError
from worker.plugins.cases import data_of
from worker.plugins.shelf import Shelf
from worker.publication import Publication
from worker.recorder import LeaseLostError, Recorder
from worker.results import EpochResult, RunResult, Snapshot, StateRefusedError, TrainState
from worker.slots import worker_name

log = structlog.get_logger()


class CancelRequestedError(Exception):
    """The run's experiment was asked to stop."""


class HandedBackError(Exception):
    """This worker is being shut down: another one shall train the run."""


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

    @classmethod
    def open(cls, settings: Settings, *, gpu: bool) -> "Workshop":
        """Call it in the child, after the fork."""
        assert settings.database_url is not None  # the Celery app has seen to it
        prepare(gpu=gpu)
        torch.set_num_threads(settings.threads_per_worker)
        # Here and not in the parent: neither a connection nor the heart's thread would survive the fork.
        database = Database(
            settings.database_url.get_secret_value(), pool_size=2, max_overflow=1, silence_s=settings.silence_s
        )
        device = torch.device("cuda" if gpu else "cpu")
        shelf = plugins.load(settings.plugins)
        publication = Publication(database, shelf.offers)
        heart, files = Heart(database, settings.lease_s, publication.renew), CheckpointFiles(settings.files_url())
        return cls(settings, database, heart, files, device, worker_name(os.getpid()), shelf)

    def close(self) -> None:
        self.heart.close()
        self.database.dispose()

    def carry_out(self, run_id: uuid.UUID) -> None:
        """Claim, train, store. Whatever happens, the run row says so, or its lease lapses and another takes it."""
        with self.database.begin() as session:
            limit = self.settings.max_parallel_per_owner
            claim = runs.claim(session, run_id, self.name, self.settings.lease_s, limit, self.shelf.plugins.keys())
        # Committed: no transaction is open while the run trains, however long that takes.
        if claim is None:
            return
        with self.heart.watch(claim.lease) as watch:
            try:
                self._train(claim, watch)
            except LeaseLostError:
                log.warning("the lease was lost; another worker has the run", run=str(run_id))
            except CancelRequestedError:
                self._close_run(claim, State.CANCELLED)
            except HandedBackError:
                self._close_run(claim, State.QUEUED)
            except (DBAPIError, psycopg.Error) as error:  # psycopg's own come from COPY
                log.warning("the database is away; the lease will lapse", run=str(run_id), error=str(error))
                return  # whoever ends the run settles it; asking again would hold this slot for nothing
            except Exception as error:  # the task's edge: the reason must reach the run row
                log.exception("the run failed", run=str(run_id))
                self._close_run(claim, State.FAILED, _explained(error, claim.spec))
        with self.database.begin() as session:  # whoever ends an experiment's last run stores its comparison
            comparing.store_if_ended(session, claim.lease.experiment_id)
        heap.give_back()

    def _train(self, claim: Claim, watch: Watch) -> None:
        plan = plan_variant(claim.spec, claim.variant).at_rate(claim.learning_rate)
        data = data_of(plan.dataset, claim.seed, self.settings.files_url(), self.shelf)
        if plan.experiment.trace.budget is not None:
            plan = self._within_budget(claim, plan, data)
        recorded = self._found(claim, plan, data) if plan.network.kind == "plugin" else plan
        try:
            self._go_through(claim, watch, plan, recorded, data, claim.checkpoint)
        except StateRefusedError as refused:
            log.warning("the checkpoint is of no use; from step 0 again", run=str(claim.lease.run_id), why=str(refused))
            # Nothing of this attempt is recorded yet; what earlier ones have stored goes with their checkpoint.
            self._start_over(claim)
            self._go_through(claim, watch, plan, recorded, data, None)

    def _found(self, claim: Claim, plan: Plan, data: TrialData) -> WatchedPlan:
        """The plan with the layers that a plug-in's network has, which are stored before the first record."""
        found = found_of(plan, data, seed=claim.seed, device=self.device, shelf=self.shelf)
        with self.database.begin() as session:
            if not runs.keep_found(session, claim.lease, found):
                raise LeaseLostError
        return plan_code(plan, found)

    def _go_through(  # noqa: PLR0913, PLR0917 -- a run, how it is trained and how it is read
        self,
        claim: Claim,
        watch: Watch,
        plan: Plan,
        recorded: AnyPlan,
        data: TrialData,
        checkpoint: Checkpoint | None,
    ) -> None:
        """From the checkpoint, or from step 0, to the end. ``recorded``: the plan as its traces are read."""
        state, first = None, 0
        if checkpoint is not None:
            state, first = self._state_at(checkpoint), checkpoint.step
            log.info("going on from a checkpoint", run=str(claim.lease.run_id), step=first)
        recorder = Recorder(self.database, claim.lease, self.settings.lease_s, plan, first, rows_of(recorded))
        recorder.chance_level = data.chance_level(plan.objective)
        keeper = Keeper(self.files, recorder, self.device, self.settings.checkpoint_s, checkpoint)
        result: RunResult | None = None
        steps = itertools.count(first)

        # Counted before it obeys: the heart, in its own thread, says with each beat how many steps are done.
        def between_steps() -> None:
            watch.step = next(steps)
            _obey(watch)

        for seen in train(
            plan,
            data,
            seed=claim.seed,
            device=self.device,
            between_steps=between_steps,
            state=state,
            wanted=keeper.due,
            shelf=self.shelf,
        ):
            match seen:
                case StepRecord():
                    recorder.add(seen)
                case EpochResult():
                    recorder.add_epoch(seen)
                case Snapshot():
                    keeper.keep(seen)
                case RunResult():
                    result = seen
        assert result is not None  # the engine's last word
        self._finish(claim, plan, recorded, recorder, result)

    def _state_at(self, checkpoint: Checkpoint) -> TrainState:
        try:
            return unpacked(self.files.read(checkpoint.path), self.device)
        except OSError as error:
            raise StateRefusedError(str(error)) from error

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

    def _finish(self, claim: Claim, plan: Plan, recorded: AnyPlan, recorder: Recorder, result: RunResult) -> None:
        """The last rows, the verdict and the end of the run, all or nothing."""
        with self.database.begin() as session:
            recorder.write(session, result.steps_done - 1, ended=True)
            # Read back in this transaction, which alone sees the last rows.
            facts = replace(result.facts(plan), parameters=recorded.network.parameters)
            summary = summarise(recorded, read_ending(session, claim.lease.run_id, recorded, facts), facts)
            versions = _versions(claim.spec)
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


def _obey(watch: Watch) -> None:
    if watch.stop == "cancelled":
        raise CancelRequestedError
    if watch.stop == "lost":
        raise LeaseLostError
    if asked_to_stop():
        raise HandedBackError


def _versions(spec: ExperimentSpec) -> dict[str, str]:
    return {
        **{its.package: its.version for its in plugins_of(spec.network, spec.dataset)},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),  # of the data inside it
    }


def _explained(error: Exception, spec: ExperimentSpec) -> dict[str, str]:
    """The error as a client reads it: what happened, and what could be changed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return {"title": "Out of memory", "detail": f"the network and its batch do not fit the device: {error}"}
    if isinstance(error, SpecError):
        return {"title": "Spec refused", "detail": str(error)}
    if isinstance(error, PluginError):
        return {"title": "Plug-in failed", "detail": str(error)}
    # Its backward pass is torch's, which names nobody.
    beside = ", ".join(f"the {its}" for its in sorted(plugins_of(spec.network, spec.dataset)))
    trained = f" (training with {beside})" if beside else ""
    return {"title": "Run failed", "detail": f"{type(error).__name__}: {error}{trained}"}
