"""What is answered of traces and curves: their shapes (docs/api.md), and how a query says which stretch it wants."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel

from api.at_once import at_once
from gradient_clinic.signals import CurveName, SignalName
from gradient_clinic.verdict.shapes import FirstNonfinite
from models.analysis.comparison.parts import Id

LAST_STEP = 2**31 - 1
Value = float | None
"""Null for what is not finite."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which steps, in how many points."""

    first: Annotated[int, Query(alias="from", ge=0, le=LAST_STEP, description="First step.")] = 0
    last: Annotated[int, Query(alias="to", ge=0, le=LAST_STEP, description="Last step, included.")] = LAST_STEP
    points: Annotated[int, Query(ge=1, le=5000, description="At most so many buckets; each keeps its extremes.")] = 500


StretchDep = Annotated[Stretch, Depends(at_once(Stretch))]


class TraceRow(BaseModel):
    """A layer, or with role ``time`` a state of a recurrent layer: ``recurrent.0@17`` is that after 17 steps.

    ``hidden`` layers are the depth axis of G; ``branch`` layers lie beside it.
    """

    index: int
    name: str
    kind: str
    role: Literal["hidden", "branch", "output", "time"]


class TraceView(BaseModel):
    """Matrices are layer × bucket; ``steps`` has the first and last step of each bucket; ``raw`` where each is one."""

    run_id: Id
    signal: SignalName
    layers: list[TraceRow]
    steps: list[tuple[int, int]]
    min: list[list[Value]]
    mean: list[list[Value]]
    max: list[list[Value]]
    last: list[list[Value]]
    nonfinite: list[list[int]]
    first_nonfinite: FirstNonfinite | None
    raw: bool


class Curve(BaseModel):
    min: list[Value]
    mean: list[Value]
    max: list[Value]
    last: list[Value]
    nonfinite: list[int]


class BandVariant(BaseModel):
    """``runs``: how many of it are in the band, 0 where nothing is recorded yet."""

    name: str
    runs: int


class BandsView(BaseModel):
    """Matrices are variant × bucket, over the runs of each; null where none of them has a finite value."""

    experiment_id: Id
    curve: CurveName
    variants: list[BandVariant]
    steps: list[tuple[int, int]]
    min: list[list[Value]]
    mean: list[list[Value]]
    max: list[list[Value]]


class Epochs(BaseModel):
    """A value per epoch; of a log one per evaluation, with the ``steps`` it names. What it has none of is empty."""

    validation_loss: list[Value]
    validation_metric: list[Value]
    steps: list[int]


class CurvesView(BaseModel):
    """``curves`` by name, those that were told; ``epochs`` is empty without a validation part."""

    run_id: Id
    steps: list[tuple[int, int]]
    curves: dict[str, Curve]
    epochs: Epochs
    first_nonfinite: FirstNonfinite | None
