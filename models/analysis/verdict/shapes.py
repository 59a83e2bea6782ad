"""What a run amounts to, and the verdict of a run and of a variant over its seeds, as they are stored and answered.

Shapes only: a row of the database names them, and loads no rule by that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, PlainSerializer

from models.analysis.gains.depth_axis import GradientFacts
from models.analysis.gains.limits import CUTS, STANDARD, Cut
from models.analysis.statistics.intervals import Number


def _json_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# Pydantic's ser_json_inf_nan does not reach model_dump(mode="json"), and a bare NaN is no JSON for Postgres.
Real = Annotated[float, PlainSerializer(_json_number, return_type=float | str, when_used="json")]
"""A float that returns from JSON as it was, NaN and ±∞ included."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run beside its trace. ``chance_level`` is the entropy of the training labels, or the
    training MSE of predicting their mean; ``step_seconds`` is the median over the run's steps.
    """

    steps_asked: int
    stopped_by: Literal["nonfinite_steps", "loss_above"] | None
    outcome: Literal["finished", "diverged"]
    chance_level: Real
    test_metric: Real
    test_loss: Real
    conditions: str
    step_seconds: Real
    device_seconds: Real
    peak_memory_bytes: int
    parameters: int
    overhead: Real
    validation_loss: Real | None = None
    """At the end of training; None where there is no validation part."""
    majority_share: Real | None = None
    """The accuracy, on the test part, of always saying the commonest training label; None where cases have no label
    each, or nothing was held out."""
    test_cases: int = 0


Trained = Literal["yes", "no", "partly"]


class FirstNonfinite(BaseModel):
    """The earliest recorded step with a non-finite value, and the layer where it is first met in that step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    layer: str
    where: Literal["forward", "backward"]


class TimeLevels(BaseModel):
    """One recurrent layer's ln rms ∂L/∂state at its recorded steps; ``end`` None where nothing was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    steps: tuple[int, ...]
    start: tuple[Real, ...]
    end: tuple[Real, ...] | None


class Measured(BaseModel):
    """What one run's trace amounts to. Tuples are over hidden layers in forward order; NaN is "not measured"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "mlp"
    """Its kind, whose cut holds."""
    hidden: tuple[str, ...]
    batch_norm: bool
    normalized: bool
    start: tuple[Real, ...]
    """ln rms δ of the untrained network."""
    end: tuple[Real, ...] | None
    """Median ln rms δ over the end window; None where nothing was trained."""
    end_steps: tuple[int, int] | None
    settled: tuple[Real, ...] | None = None
    """Median ln rms δ over the settled steps; None where the run ended, or broke, before them."""
    settled_steps: tuple[int, int] | None = None
    output_start: Real = math.nan
    """ln rms δ of the output layer in the untrained network: what the loss sends down."""
    forward: tuple[Real, ...] = ()
    """ln rms h of the untrained network."""
    zero_start: bool = False
    """Weights start at zero on purpose (Fixup): an exact zero before step 10 is not measured rather than −∞."""
    resized: tuple[bool, ...] = ()
    """Hidden layers whose channels or resolution differ from the one before."""
    recurrent: tuple["TimeLevels", ...] = ()
    slope_at_start: tuple[Real, ...]
    """√E[φ'(z)²] at the measured rms of h: by how much the activation alone shrinks δ in that layer."""
    dead: tuple[Real, ...]
    saturated: tuple[Real, ...]
    """Medians over the end window, or of the untrained network where nothing was trained."""
    dead_at_start: tuple[Real, ...] = ()
    """Of the untrained network."""
    largest_update: Real
    """Median over hidden layers of their largest ‖ΔW‖/‖W‖ in one recorded step."""
    final_loss: Real | None
    loss_error: Real | None
    """Mean data loss over the end window and its standard error over the window's batches."""
    loss_fall: Real | None = None
    loss_fall_error: Real | None = None
    """How far the mean loss of the end window's later half lies below that of its first, and the standard error of it;
    None where a half has fewer than two batches."""
    trained: Trained | None
    first_nonfinite: FirstNonfinite | None
    last_step: int
    last_loss: Real
    facts: RunFacts
    trace_digest: str | None = None
    """Of ``digest.py``; None in what earlier versions have measured."""

    @property
    def diverged(self) -> bool:
        """The engine's word, which knows unrecorded steps and those that loss scaling skipped."""
        return self.facts.outcome == "diverged" or self.facts.stopped_by is not None

    @property
    def depth_cut(self) -> Cut:
        return CUTS.get(self.network, STANDARD)

    @property
    def success(self) -> bool:
        return self.trained == "yes"


RULES: Final = "5"


RunKind = Literal[
    "vanishing", "exploding", "healthy", "inconclusive", "diverged", "dead", "saturated", "stalled", "slow"
]


Kind = Literal[RunKind, "mixed"]


Cause = Literal[
    "symmetric_weights",
    "input_scale",
    "target_scale",
    "initialisation",
    "saturating_activation",
    "dropout_noise",
    "missing_norm",
    "post_norm_at_depth",
    "learning_rate",
    "dead_units",
    "depth_without_skip",
    "batch_norm_at_depth",
    "exploding_over_time",
    "numeric_range",
    "class_imbalance",
    "too_few_steps",
    "no_gradient_cause_found",
]


CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Answer):
    """One number against its threshold. ``margin`` is how far it lies beyond, negative where it does not reach it.

    ``seeds``: over how many runs the value is a mean.
    """

    signal: str
    layers: tuple[str, ...]
    steps: tuple[int, int] | None
    statistic: str
    value: Number
    threshold: Number
    margin: Number
    seeds: int = 1


class Answer(_Answer):
    """A remedy of the catalogue with a reason, and as a spec to paste. ``predicted_gain``: theory's G with it;
    ``direction``: where its value lies beside that of the run.
    """

    remedy: str
    why: str
    spec: Mapping[str, object]
    predicted_gain: Number = None
    direction: Literal["lower", "higher"] | None = None


class Outcome(_Answer):
    """What a verdict says, its numbers aside."""

    kind: Kind
    trained: Trained | Literal["mixed"] | None
    causes: tuple[Cause, ...]


class Near(_Answer):
    """A number so close to a threshold that another processor's rounding may take it across (``near.py``).

    ``distance``: between them, in the statistic's own unit. ``would_be``: what the verdict says on the other side; None
    where the steps are so long that it may be any. ``seeds``: of how many runs ``value`` and ``distance`` are means.
    """

    rule: str
    layers: tuple[str, ...]
    statistic: str
    value: Number
    threshold: Number
    distance: Number
    would_be: Outcome | None
    seeds: int = 1


class Findings(_Answer):
    """A verdict before it is put into words."""

    kind: Kind
    at_start: GradientFacts
    at_end: GradientFacts | None
    trained: Trained | Literal["mixed"] | None
    causes: tuple[Cause, ...]
    conditions: str
    evidence: tuple[Evidence, ...]
    answers: tuple[Answer, ...]
    seeds: Mapping[str, int]
    near: tuple[Near, ...] = ()
    rules: str = RULES

    @property
    def outcome(self) -> Outcome:
        return Outcome(kind=self.kind, trained=self.trained, causes=self.causes)


class Verdict(Findings):
    """What is wrong, where, why and what answers it."""

    sentence: str


class RunSummary(Measured):
    """The measured numbers of a run with its verdict. Returns from JSON as it was, NaN and ±∞ included."""

    verdict: Verdict
