"""The data set of a run: one of ours, an upload, or what a plug-in makes, held against what it has declared."""

from typing import Any

import numpy as np
import torch

from models.specs.dataset import DatasetSpec, PluginDatasetSpec
from models.specs.facts import Facts
from worker.datasets import load
from worker.datasets.split import Arrays, TrialData, split
from worker.plugins.blame import PluginError, blamed
from worker.plugins.shelf import NO_SHELF, Shelf


def data_of(spec: DatasetSpec, seed: int, storage_url: str | None = None, shelf: Shelf = NO_SHELF) -> TrialData:
    """As ``worker.datasets.load``, plug-ins too. PluginError where one fails, or gives what it has not declared."""
    if isinstance(spec, PluginDatasetSpec):
        return split(_made(spec, seed, shelf), spec, seed)
    return load(spec, seed, storage_url)


def _made(spec: PluginDatasetSpec, seed: int, shelf: Shelf) -> Arrays:
    plugin = shelf[spec.key]
    parameters = plugin.parameters(spec.parameters)
    drawn_from = seed if spec.split_seed is None else spec.split_seed
    with blamed(plugin.key, "making its cases"):
        made = plugin.make(parameters, drawn_from)
    if not isinstance(made, tuple) or len(made) != 2:
        raise PluginError(plugin.key, f"it gave {_kind(made)}; it has to give (features, targets)")
    x, y = (_array(part) for part in made)
    if (wrong := _wrong_features(x, spec.facts) or _wrong_targets(y, spec.facts)) is not None:
        raise PluginError(plugin.key, wrong)
    return Arrays(x, y)


def _array(made: object) -> Any:
    if isinstance(made, torch.Tensor):
        made = made.detach().cpu().numpy()
    array = np.asarray(made)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _wrong_features(x: Any, facts: Facts) -> str | None:
    expected, kind = (facts.cases, *facts.shape), "i" if facts.form == "tokens" else "f"
    if x.shape != expected or x.dtype.kind != kind:
        numbers = "whole numbers" if kind == "i" else "floating-point numbers"
        return f"its features are {x.dtype} {x.shape}, and it has declared {numbers} {expected}"
    if kind == "i" and ((x < 0) | (x >= facts.vocabulary)).any():
        return f"its tokens lie between {x.min()} and {x.max()}, and it has declared a vocabulary of {facts.vocabulary}"
    return _not_finite("features", x)


def _wrong_targets(y: Any, facts: Facts) -> str | None:
    of_values = facts.target == "value"
    places = {"value": (facts.classes,), "class": (), "class_per_step": facts.shape[:1]}[facts.target]
    expected = (facts.cases, *places)
    if y.shape != expected or y.dtype.kind != ("f" if of_values else "i"):
        numbers = "floating-point numbers" if of_values else "whole numbers"
        return f"its targets are {y.dtype} {y.shape}, and it has declared {numbers} {expected}"
    if not of_values and ((y < 0) | (y >= facts.classes)).any():
        return f"its labels lie between {y.min()} and {y.max()}, and it has declared {facts.classes} classes from 0"
    return _not_finite("targets", y)


def _not_finite(what: str, values: Any) -> str | None:
    broken = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
    return f"{broken} of the {values.size} numbers of its {what} are NaN or infinite" if broken else None


def _kind(made: object) -> str:
    return f"a {type(made).__name__}" + (f" of {len(made)}" if isinstance(made, tuple) else "")
