"""The one Celery task, a thin shell: what a run is, and how it is carried out, is in ``worker.attempt``."""

import gc
import os
import sys
import uuid
from types import ModuleType
from typing import TYPE_CHECKING, cast

from billiard import current_process
from celery import current_app, shared_task, signals

from models import heap
from models.settings import Settings
from worker.app import RUN_TASK, ClinicCelery
from worker.slots import gpu_count, has_gpu

if TYPE_CHECKING:
    from worker.attempt import Workshop

_workshop: "Workshop | None" = None


@signals.worker_init.connect
def load(**_: object) -> None:
    """In the parent, before it forks: its children share what torch takes, and each is there at once.

    Not with a GPU, as CUDA must find nothing but what its own process did; nor on macOS, whose frameworks do not
    survive a fork. There each child loads torch.
    """
    settings = _settings()
    if not has_gpu(settings) and sys.platform == "linux":
        _attempts(settings).prepare(gpu=False)
        gc.collect()
        gc.freeze()  # a search for garbage writes to all it visits, and a page that is written to is no longer shared


@signals.worker_process_init.connect
def open_workshop(**_: object) -> None:
    """In the child, after the fork: fix its device, then load torch where the parent has not."""
    global _workshop  # noqa: PLW0603 -- one workshop per process, made by Celery's hook
    settings = _settings()
    gpu = has_gpu(settings)
    if gpu and gpu_count() > 1:
        # Slots share the GPUs of a machine evenly; billiard's pool numbers its children.
        slot: int = current_process().index  # type: ignore[attr-defined]
        os.environ["CUDA_VISIBLE_DEVICES"] = str(slot % gpu_count())  # noqa: TID251
    _workshop = _attempts(settings).Workshop.open(settings, gpu=gpu)


def _settings() -> Settings:
    return cast("ClinicCelery", current_app).settings


def _attempts(settings: Settings) -> ModuleType:
    """``worker.attempt`` and with it torch, which reads these variables as it is loaded."""
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads_per_worker))  # noqa: TID251
    # torch's compiler makes a cache folder when an optimiser is built; outside the data folder nothing may be left.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(settings.data_dir.resolve() / "torch"))  # noqa: TID251
    heap.for_training()
    from worker import attempt  # noqa: PLC0415 -- its time has come only now

    return attempt


@signals.worker_process_shutdown.connect
def close_workshop(**_: object) -> None:
    if _workshop is not None:
        _workshop.close()


@shared_task(name=RUN_TASK)
def run(run_id: str) -> None:
    """Claim the run, train it, store what was seen. A second message for one run finds it taken."""
    if _workshop is None:
        open_workshop()
    assert _workshop is not None  # opened above at the latest
    _workshop.carry_out(uuid.UUID(run_id))
