"""The Celery app: early acknowledgement, nothing prefetched, results ignored, JSON only.

A message carries a run id and is a hint; Postgres is the truth. Without a GPU the parent loads torch for its children.
"""

import mmap
import os
import threading
import uuid
from contextlib import suppress
from functools import cached_property
from typing import Any, cast

import psutil
import structlog
from billiard.exceptions import WorkerLostError
from celery import Celery, Task, signals
from celery.worker.request import Request
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from models.runs import queueing
from models.settings import Settings
from models.storage.database import Database
from worker import broker
from worker.slots import devices, worker_name

log = structlog.get_logger()

RUN_TASK = "clinic.run"
ANY_QUEUE, CPU_QUEUE, GPU_QUEUE = "clinic.any", "clinic.cpu", "clinic.gpu"
QUEUE_OF_DEVICE = {"auto": ANY_QUEUE, "cpu": CPU_QUEUE, "gpu": GPU_QUEUE}

LOOK_S = 0.25
STOP_S = 20.0
"""So long a step may take once the worker has been asked to end; then its process is killed."""

_stopping = mmap.mmap(-1, 1)
"""One byte shared between the parent and the children that it forks: set when the worker is asked to end."""


def asked_to_stop() -> bool:
    """Whether this worker is being shut down: runs are handed back between two steps."""
    return _stopping[0] == 1


def queue_of(device: str, *, plugins: bool) -> str:
    """Runs of plug-ins have queues of their own: most workers may have none, and would send them back."""
    return QUEUE_OF_DEVICE[device] + (".plugins" if plugins else "")


def queues(settings: Settings) -> list[str]:
    """What this worker takes: anything, and what asks for its kind of device; plug-ins where it may have some."""
    kinds = (False, True) if settings.plugins else (False,)
    return [queue_of(device, plugins=plugins) for plugins in kinds for device in devices(settings)]


class RunRequest(Request):
    """Celery's view of one message in the parent: when its child dies, the lease goes back at once."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002
        # Its process has died or been ended; or the end of the run could not be stored, and nobody trains it any more.
        if self.worker_pid is not None:
            app = cast("ClinicCelery", self.task.app)
            # Billiard wraps what a task has raised; what ends a process may be reported before the process has ended.
            its = getattr(exc_info.exception, "exc", exc_info.exception)
            dead = isinstance(its, WorkerLostError | SystemExit | KeyboardInterrupt)
            app.give_back(uuid.UUID(self.args[0]), worker_name(int(self.worker_pid)), dead=dead)
        return super().on_failure(exc_info, send_failed_event, return_ok)


class RunTask(Task[Any, Any]):
    Request = "worker.app:RunRequest"


class ClinicCelery(Celery[Any]):
    """Celery with the clinic's settings. Wrong settings end the process with a sentence."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("clinic", include=["worker.tasks"], task_cls=RunTask)
        self.settings = settings
        _required(settings.database_url, "CLINIC_DATABASE_URL", "traces are kept in PostgreSQL")
        self.conf.update(
            broker_url=_required(settings.redis_url, "CLINIC_REDIS_URL", "workers hear of runs through Redis"),
            broker_connection_retry_on_startup=True,
            # For ever: a worker that gave up would have to be started by somebody.
            broker_connection_max_retries=None,
            broker_transport_options=broker.options(settings),
            accept_content=["json"],
            task_serializer="json",
            task_ignore_result=True,
            # Acknowledged before the run: a message that dies with its child is published again by a dispatcher.
            task_acks_late=False,
            task_default_queue=ANY_QUEUE,
            # A message held by a busy worker would be kept from one that is idle.
            worker_disable_prefetch=True,
            worker_prefetch_multiplier=1,
            worker_concurrency=settings.workers,
            worker_max_tasks_per_child=settings.runs_per_child,
            worker_proc_alive_timeout=120.0,  # beside a GPU a child loads torch before it says that it is up
            worker_enable_remote_control=False,
            worker_send_task_events=False,
            # A run owes Redis nothing once it is claimed, so a broker that is away must not end it.
            worker_cancel_long_running_tasks_on_connection_loss=False,
        )

    @cached_property
    def _parent_database(self) -> Database:
        """Opened on first use, in the parent: never shared with a child."""
        return Database(*self.settings.database_urls(), pool_size=1, max_overflow=1, silence_s=self.settings.silence_s)

    def give_back(self, run_id: uuid.UUID, worker: str, *, dead: bool) -> None:
        """Queue again what the child was training: all that it had where it is ``dead``, for others were trained with
        the run that it was told of. Without a database the leases will lapse instead.
        """
        try:
            with self._parent_database.begin() as session:
                if dead:
                    queueing.reap_dead(session, worker, self.settings.max_attempts)
                else:  # it may have begun another one
                    queueing.reap_worker(session, run_id, worker, self.settings.max_attempts)
        except DBAPIError:
            log.warning("a worker process died while the database was away; its lease will lapse", run=str(run_id))


def _required(secret: SecretStr | None, name: str, why: str) -> str:
    if secret is None:
        message = f"{name} is not set: {why}"
        raise SystemExit(message)
    return secret.get_secret_value()


@signals.worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    _stopping[0] = 1
    killer = threading.Timer(STOP_S, _kill_children)  # the parent itself only waits for them
    # A parent whose children all end in time must not wait for this thread.
    killer.daemon = True
    killer.start()


def _kill_children() -> None:
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            child.kill()


@signals.worker_ready.connect
def _watch_children(sender: Any, **_: object) -> None:
    """Look for dead children often. Their end closes a pipe, but children forked later hold a copy of it, and the
    pool's own look comes every few seconds only.
    """
    sender.hub.call_repeatedly(LOOK_S, sender.pool.maintain_pool)


def create_app(settings: Settings) -> ClinicCelery:
    """The app of a parent or a dispatcher; it becomes Celery's current app, which ``worker.tasks`` reads."""
    # Bit-identical matrix products on CUDA; read by the children when they load torch.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # noqa: TID251
    app = ClinicCelery(settings)
    # Current is per thread, default is for all the others.
    app.set_current()
    app.set_default()
    return app
