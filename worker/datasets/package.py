"""Finds data files inside an installed package, which is never imported."""

from importlib.util import find_spec
from pathlib import Path


def folder_of(package: str, kind: str) -> Path:
    """Where the package lies. RuntimeError, with the data set that asks, where it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        message = f"the data set {kind} is read from the package {package}, which is not installed"
        raise RuntimeError(message)
    return Path(found.origin).parent
