"""A client's own data, read from where the API has put them; see ``models/storage/files.py``."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from models.specs.uploaded import UploadedSpec
from models.storage.files import DatasetFiles
from worker.datasets.split import Arrays


def arrays(spec: UploadedSpec, _seed: int, storage_url: str | None = None) -> Arrays:
    """The version that the spec names, its labels as amounts where the spec's task is regression. RuntimeError where it
    is no longer there, or no storage is named.
    """
    if storage_url is None or spec.version is None:
        message = f"the data set {spec.name} cannot be read without a storage URL and a version"
        raise RuntimeError(message)
    try:
        read = _read(storage_url, spec.version, spec.facts.form == "image")
    except FileNotFoundError as error:
        message = f"the data set {spec.name} in version {spec.version} is no longer stored"
        raise RuntimeError(message) from error
    if spec.facts.target == "value" and read.y.dtype.kind != "f":
        # A copy: the cached arrays serve the next run too, whose task may be another.
        return replace(read, y=read.y.astype(np.float32)[:, None])
    return read


@lru_cache(maxsize=1)  # a worker trains run after run of one experiment; a second large set would cost its memory
def _read(storage_url: str, version: str, are_images: bool) -> Arrays:  # noqa: FBT001 -- part of the cache's key
    """Bytes of images become 0 to 1, as in the other sets of images; other bytes are numbers as they are."""
    found = DatasetFiles(storage_url).read(version)
    x = found["x"].astype(np.float32, copy=False)
    if are_images and found["x"].dtype == np.uint8:
        x /= np.float32(255.0)
    return Arrays(x, found["y"], found.get("lengths"))
