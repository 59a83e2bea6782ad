"""The one Celery task, a thin shell: what a run is, and how it is carried out, is in ``worker.attempt``."""

import os
import uuid
from typing import TYPE_CHECKING, cast

from billiard import current_process
from celery import current_app, shared_task, signals

from models import heap
from worker.app import RUN_TASK, ClinicCelery
from worker.slots import gpu_count, has_gpu

if TYPE_CHECKING:
    from worker.attempt import Workshop

_workshop: "Workshop | None" = None


def _slot_device() -> str:
    """The GPU of this child's slot: slots share the GPUs of a machine evenly."""
    slot: int = current_process().index  # type: ignore[attr-defined]  # billiard's pool numbers its children
    return str(slot % gpu_count())


@signals.worker_process_init.connect
def open_workshop(**_: object) -> None:
    """In the child, after the fork: fix its device, then load torch. The parent never does."""
    global _workshop  # noqa: PLW0603 -- one workshop per process, made by Celery's hook
    settings = cast("ClinicCelery", current_app).settings
    gpu = has_gpu(settings)
    if gpu and gpu_count() > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = _slot_device()  # noqa: TID251
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads_per_worker))  # noqa: TID251
    # torch's compiler makes a cache folder when an optimiser is built; outside the data folder nothing may be left.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(settings.data_dir.resolve() / "torch"))  # noqa: TID251
    heap.keep_few_arenas(large_apart=False)
    from worker.attempt import Workshop  # noqa: PLC0415 -- torch must not be loaded before the fork

    _workshop = Workshop.open(settings, gpu=gpu)


@signals.worker_process_shutdown.connect
def close_workshop(**_: object) -> None:
    if _workshop is not None:
        _workshop.close()


@shared_task(name=RUN_TASK)
def run(run_id: str) -> None:
    """Claim the run, train it, store what was seen. A second message for one run finds it taken."""
    if _workshop is None:
        open_workshop()
    assert _workshop is not None  # noqa: S101 -- opened above at the latest
    _workshop.carry_out(uuid.UUID(run_id))
