"""Where the arrays of uploaded data sets lie: ``datasets/<version>/x.npy``, ``y.npy``, perhaps ``lengths.npy``, and a
manifest that is written last, so that a folder without one is no data set. Any fsspec file system will do.

The version is a digest of the content, so a folder never changes. Whoever writes or removes one holds its lock
(``models/storage/uploads.py``); readers need none.
"""

import json
import re
import shutil
import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO

import fsspec
import numpy as np
import numpy.typing as npt

VERSION = re.compile(r"[0-9a-f]{64}")
_MANIFEST = "manifest.json"
_STEP = 1 << 20


class DatasetFiles:
    """The folders of all versions below one storage URL."""

    def __init__(self, url: str) -> None:
        self._system, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/datasets"

    def _folder(self, version: str) -> str:
        # A version reaches a path only if it is one: what a client sends never names a file.
        if VERSION.fullmatch(version) is None:
            message = f"{version[:80]!r} is no version of a data set"
            raise ValueError(message)
        return f"{self._root}/{version}"

    def has(self, version: str) -> bool:
        return bool(self._system.exists(f"{self._folder(version)}/{_MANIFEST}"))

    def write(self, version: str, arrays: Mapping[str, BinaryIO], manifest: Mapping[str, Any]) -> None:
        """All or nothing: to a folder of another name, renamed, the manifest last. What is there stays. ``arrays`` are
        open npy files.
        """
        if self.has(version):
            return
        folder, draft = self._folder(version), f"{self._root}/.draft-{uuid.uuid4().hex}"
        try:
            self._system.makedirs(draft)
            for name, array in arrays.items():
                with self._system.open(f"{draft}/{name}.npy", "wb") as file:
                    shutil.copyfileobj(array, file, _STEP)
            with self._system.open(f"{draft}/{_MANIFEST}", "wb") as file:
                file.write(json.dumps(manifest, indent=1).encode())
            self._move(draft, folder, [*(f"{name}.npy" for name in arrays), _MANIFEST])
        finally:
            # An empty folder by now, or what was written before an error.
            self._clear(draft)

    def _move(self, draft: str, folder: str, names: list[str]) -> None:
        self._clear(folder)  # the rest of a write that was cut off
        self._system.makedirs(folder)
        for name in names:
            self._system.mv(f"{draft}/{name}", f"{folder}/{name}")

    def read(self, version: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name. FileNotFoundError where the version is not stored."""
        folder = self._folder(version)
        with self._system.open(f"{folder}/{_MANIFEST}", "rb") as file:
            # The manifest first: without one the folder is half written or half removed.
            names: list[str] = json.loads(file.read())["arrays"]
        found = {}
        for name in names:
            with self._system.open(f"{folder}/{name}.npy", "rb") as file:
                found[name] = np.load(file, allow_pickle=False)
        return found

    def remove(self, version: str) -> None:
        """The manifest first: what is half removed is no data set."""
        folder = self._folder(version)
        if self.has(version):
            self._system.rm(f"{folder}/{_MANIFEST}")
        self._clear(folder)

    def _clear(self, folder: str) -> None:
        if self._system.exists(folder):
            self._system.rm(folder, recursive=True)
