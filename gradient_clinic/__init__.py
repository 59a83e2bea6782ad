"""The instrument: what measures one network while it trains, and judges it. It needs no service, database or queue.

What measures is loaded when it is asked for: it loads torch, and who judges alone needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gradient_clinic.describing.describe import describe
    from gradient_clinic.describing.description import Description
    from gradient_clinic.watcher.calls import send_spool
    from gradient_clinic.watcher.for_lightning import LightningWatch
    from gradient_clinic.watcher.for_transformers import TrainerWatch
    from gradient_clinic.watcher.preflight import Preflight, preflight
    from gradient_clinic.watcher.watch import Watch, watch, watching

HOMES: Final = {
    "Description": "describing.description",
    "LightningWatch": "watcher.for_lightning",
    "Preflight": "watcher.preflight",
    "TrainerWatch": "watcher.for_transformers",
    "Watch": "watcher.watch",
    "describe": "describing.describe",
    "preflight": "watcher.preflight",
    "send_spool": "watcher.calls",
    "watch": "watcher.watch",
    "watching": "watcher.watch",
}

__all__ = [
    "Description",
    "LightningWatch",
    "Preflight",
    "TrainerWatch",
    "Watch",
    "describe",
    "preflight",
    "send_spool",
    "watch",
    "watching",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"gradient_clinic.{HOMES[name]}"), name)
