"""Where the peers are: MLflow and wandb, in ``.clinic-peers``, made by the first ``make bench``.

They have an environment of their own: MLflow wants another pyarrow than the clinic, and nothing of theirs may reach the
code that is measured. MLflow runs there as a process and is spoken to over HTTP, so its packages never meet ours. wandb
has to hook into a model inside this process. So its environment is put at the *end* of the import path: torch, numpy,
pydantic and all else that both have stay the clinic's, and nothing is downloaded twice.
"""

import importlib
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2] / ".clinic-peers"
PYTHON = HOME / "bin" / "python"
READY = HOME / "ready"
"""Left by the Makefile once all is installed."""
NAMES = ("mlflow", "wandb")


def installed() -> bool:
    return READY.exists()


def versions() -> dict[str, str]:
    """Of the peers that are installed; empty without them."""
    distributions = importlib.metadata.distributions(path=[str(_packages())]) if installed() else ()
    return {each.name: each.version for each in distributions if each.name in NAMES}


def wandb() -> Any:
    """The module, beside the clinic's own packages. Only to be called where the peers are installed."""
    if str(_packages()) not in sys.path:
        sys.path.append(str(_packages()))
    return importlib.import_module("wandb")


def _packages() -> Path:
    return next((HOME / "lib").glob("python3*/site-packages"))
