"""How the learning rate goes over a run: a factor of it in every step, after a linear warm-up where one is set."""

from typing import Annotated, Literal

from pydantic import Field

from models.specs.base import Spec
from models.specs.bounds import MOST_STEPS

WarmUp = Annotated[int, Field(ge=0, le=MOST_STEPS)]


class CosineSchedule(Spec):
    """From 1 down to ``final_factor`` at the end of the run, along half a cosine (Loshchilov & Hutter 2017, without
    restarts).
    """

    kind: Literal["cosine"]
    final_factor: float = Field(default=0.0, ge=0, le=1)
    warm_up: WarmUp = 0
    """In the first so many steps the rate rises on a line: (t + 1)/warm_up."""


class StepSchedule(Spec):
    """Times ``factor`` after every ``every`` steps, those of the warm-up not counted."""

    kind: Literal["step"]
    every: int = Field(ge=1, le=MOST_STEPS)
    factor: float = Field(default=0.1, gt=0, le=1)
    warm_up: WarmUp = 0


ScheduleSpec = Annotated[CosineSchedule | StepSchedule, Field(discriminator="kind")]
