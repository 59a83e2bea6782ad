"""Data set kinds and their loaders: a closed table, the keys of ``models.specs.dataset.DATASETS``."""

from collections.abc import Callable
from typing import Any

from models.specs.dataset import DatasetSpec, UploadedSpec
from worker.datasets import (
    adding,
    copy_memory,
    digits,
    fashion_mnist,
    japanese_vowels,
    mnist_1d,
    mnist_5k,
    names,
    python_docs,
    sequential_digits,
    teacher_student,
    temporal_order,
    uploaded,
)
from worker.datasets.split import Arrays, TrialData, split

LOADERS: dict[str, Callable[[Any, int], Arrays]] = {
    "digits": digits.arrays,
    "mnist_5k": mnist_5k.arrays,
    "fashion_mnist": fashion_mnist.arrays,
    "japanese_vowels": japanese_vowels.arrays,
    "names": names.arrays,
    "python_docs": python_docs.arrays,
    "sequential_digits": sequential_digits.arrays,
    "adding": adding.arrays,
    "copy_memory": copy_memory.arrays,
    "temporal_order": temporal_order.arrays,
    "teacher_student": teacher_student.arrays,
    "mnist_1d": mnist_1d.arrays,
    "uploaded": uploaded.arrays,
}
"""(spec, seed) → the whole set. A generated one draws from the split seed, or the run's where that is null."""


def load(spec: DatasetSpec, seed: int, storage_url: str | None = None) -> TrialData:
    """The data of one run, split and standardised as the spec says, on the CPU. Uploaded ones lie in the storage."""
    if isinstance(spec, UploadedSpec):
        return split(uploaded.arrays(spec, seed, storage_url), spec, seed)
    return split(LOADERS[spec.kind](spec, seed), spec, seed)
