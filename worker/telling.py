"""What the row of a run says of the software that trained it, and of an error that has ended it."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import numpy as np
import torch

from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.plugin import plugins_of
from worker.plugins.blame import PluginError

LIBRARIES: Final[Mapping[str, str]] = {
    "python": platform.python_version(),
    "torch": torch.__version__,
    "numpy": np.__version__,
    "scikit-learn": version("scikit-learn"),  # of the data inside it
}


def versions_of(spec: ExperimentSpec) -> dict[str, str]:
    return {**{its.package: its.version for its in plugins_of(spec.network, spec.dataset)}, **LIBRARIES}


def explained(error: Exception, spec: ExperimentSpec) -> dict[str, str]:
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
