"""The data sets by name: a closed union by ``kind``. What they are is in datasets_real.py and datasets_generated.py."""

from typing import Annotated

from pydantic import Field

from models.specs.base import by_kind
from models.specs.datasets_generated import (
    AddingSpec,
    CopyMemorySpec,
    Mnist1dSpec,
    TeacherStudentSpec,
    TemporalOrderSpec,
)
from models.specs.datasets_real import (
    DigitsSpec,
    FashionMnistSpec,
    JapaneseVowelsSpec,
    Mnist5kSpec,
    NamesSpec,
    PythonDocsSpec,
    SequentialDigitsSpec,
)
from models.specs.facts import Facts, Form, Split, SplitSizes, Target, split_sizes
from models.specs.plugin import PluginDatasetSpec
from models.specs.uploaded import UploadedSpec

__all__ = [
    "DATASETS",
    "AddingSpec",
    "CopyMemorySpec",
    "DatasetSpec",
    "DigitsSpec",
    "Facts",
    "FashionMnistSpec",
    "Form",
    "JapaneseVowelsSpec",
    "Mnist1dSpec",
    "Mnist5kSpec",
    "NamesSpec",
    "PluginDatasetSpec",
    "PythonDocsSpec",
    "SequentialDigitsSpec",
    "Split",
    "SplitSizes",
    "Target",
    "TeacherStudentSpec",
    "TemporalOrderSpec",
    "UploadedSpec",
    "split_sizes",
]

Ours = (
    DigitsSpec
    | Mnist5kSpec
    | FashionMnistSpec
    | JapaneseVowelsSpec
    | NamesSpec
    | PythonDocsSpec
    | SequentialDigitsSpec
    | AddingSpec
    | CopyMemorySpec
    | TemporalOrderSpec
    | TeacherStudentSpec
    | Mnist1dSpec
    | UploadedSpec
)
DatasetSpec = Annotated[Ours | PluginDatasetSpec, Field(discriminator="kind")]
DATASETS: dict[str, type[Split]] = by_kind(Annotated[Ours, Field(discriminator="kind")])
"""Those that this clinic brings itself, and uploads."""
