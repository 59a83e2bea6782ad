"""Whose fault it was: an error out of a plug-in's code names the plug-in, what it was doing, and the line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import torch

from models.specs.plugin import PluginKey


class PluginError(Exception):
    """The code of a plug-in has failed, or given what it may not give. The message is for whoever asked for the run."""

    def __init__(self, key: PluginKey, detail: str) -> None:
        super().__init__(f"the {key}: {detail}")


@contextmanager
def blamed(key: PluginKey, doing: str) -> Iterator[None]:
    """PluginError for whatever is raised inside. Memory that runs out is nobody's fault, and stays what it is."""
    try:
        yield
    except (PluginError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's code may raise, the worker lives on
        message = f"{type(error).__name__}: {error} ({doing}; {_place(error.__traceback__)})"
        raise PluginError(key, message) from error


def _place(trace: TracebackType | None) -> str:
    """The innermost line that is of no library beside torch: 'towers.py, line 12, in forward'."""
    library = str(Path(torch.__file__).parent)
    own = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith((library, __file__))]
    if len(own) == 0:
        return "in torch"
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name}"
