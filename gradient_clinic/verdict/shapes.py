"""What a run amounts to, and the verdict of a run and of a variant over its seeds, as they are stored and answered.

Shapes only: a row of the database names them, and loads no rule by that. JSON of them is Pydantic's, which reads and
writes them as they are (``TypeAdapter``).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

from gradient_clinic.gains.depth_axis import GradientFacts
from gradient_clinic.gains.limits import CUTS, STANDARD, Cut
from gradient_clinic.values import Exact, Finite, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts(Exact):
    """What is known of a run without layers from all its records, as its log was read. A rate of None: it has none."""

    records: int
    lowest_loss: float
    highest_loss: float
    """Of those that are finite."""
    from_first_loss: bool
    """Nobody has told the chance level: the first finite loss of the log stands for it."""
    highest_rate: float | None = None
    mean_rate: float | None = None
    last_rate: float | None = None

    @property
    def rate_left(self) -> float | None:
        """The mean beside the highest; 0 where it was 0 throughout."""
        if self.highest_rate is None or self.mean_rate is None:
            return None
        return self.mean_rate / self.highest_rate if self.highest_rate > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run beside its trace. ``chance_level`` is the entropy of the training labels, or the
    training MSE of predicting their mean; ``step_seconds`` is the median over the run's steps.
    """

    __pydantic_config__: ClassVar = {"ser_json_inf_nan": "strings"}

    steps_asked: int
    stopped_by: Literal["nonfinite_steps", "loss_above"] | None
    outcome: Literal["finished", "diverged"]
    chance_level: float
    test_metric: float
    test_loss: float
    conditions: str
    step_seconds: float
    device_seconds: float
    peak_memory_bytes: int
    parameters: int
    overhead: float
    validation_loss: float | None = None
    """At the end of training; None where there is no validation part."""
    majority_share: float | None = None
    """The accuracy, on the test part, of always saying the commonest training label; None where cases have no label
    each, or nothing was held out."""
    neighbour_accuracy: float | None = None
    """The accuracy, on the test part, of a vote of the 15 nearest training cases, or of the nearest if that is more;
    known of cases of few features."""
    test_cases: int = 0
    balanced_accuracy: float | None = None
    """The mean over labels of the share of training cases that is right at the end; known where one label has more than
    0.6 of them, as the accuracy then says little of the others."""
    target_offset: float | None = None
    """Of targets that are values: their mean over their standard deviation, at most, over outputs."""
    log: LogFacts | None = None
    """Of a run without layers."""


Trained = Literal["yes", "no", "partly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstNonfinite(Value):
    """The earliest recorded step with a non-finite value, and the layer where it is first met in that step.

    Without layers that is null, and ``forward`` says the loss, ``backward`` the overall gradient norm.
    """

    step: int
    layer: str | None
    where: Literal["forward", "backward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLevels(Exact):
    """One recurrent layer's ln rms ∂L/∂state at its recorded steps; ``end`` None where nothing was trained."""

    layer: str
    steps: tuple[int, ...]
    start: tuple[float, ...]
    end: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Exact):
    """What one run's trace amounts to. Tuples are over hidden layers in forward order; NaN is "not measured"."""

    network: str = "mlp"
    """Its kind, whose cut holds."""
    hidden: tuple[str, ...]
    batch_norm: bool
    normalized: bool
    start: tuple[float, ...]
    """ln rms δ of the untrained network."""
    end: tuple[float, ...] | None
    """Median ln rms δ over the end window; None where nothing was trained."""
    end_steps: tuple[int, int] | None
    settled: tuple[float, ...] | None = None
    """Median ln rms δ over the settled steps; None where the run ended, or broke, before them."""
    settled_steps: tuple[int, int] | None = None
    output_start: float = math.nan
    """ln rms δ of the output layer in the untrained network: what the loss sends down."""
    forward: tuple[float, ...] = ()
    """ln rms h of the untrained network."""
    zero_start: bool = False
    """Weights start at zero on purpose (Fixup): an exact zero before step 10 is not measured rather than −∞."""
    resized: tuple[bool, ...] = ()
    """Hidden layers whose channels or resolution differ from the one before."""
    recurrent: tuple[TimeLevels, ...] = ()
    slope_at_start: tuple[float, ...]
    """√E[φ'(z)²] at the measured rms of h: by how much the activation alone shrinks δ in that layer."""
    dead: tuple[float, ...]
    saturated: tuple[float, ...]
    """Medians over the end window, or of the untrained network where nothing was trained."""
    dead_at_start: tuple[float, ...] = ()
    """Of the untrained network."""
    weights_left: float = 1.0
    """Median over hidden layers of ‖W‖ over the end window beside that of the untrained network; 1 where all of it was
    zero."""
    largest_update: float
    """Median over hidden layers of their largest ‖ΔW‖/‖W‖ in one recorded step."""
    first_loss: float = math.nan
    """Data loss of the untrained network, on its first batch."""
    final_loss: float | None
    loss_error: float | None
    """Mean data loss over the end window and its standard error over the window's batches."""
    loss_fall: float | None = None
    loss_fall_error: float | None = None
    """How far the mean loss of the end window's later half lies below that of its first, and the standard error of it;
    None where a half has fewer than two batches."""
    trained: Trained | None
    first_nonfinite: FirstNonfinite | None
    last_step: int
    last_loss: float
    facts: RunFacts
    trace_digest: str | None = None
    """Of ``digest.py``; None in what earlier versions have measured."""

    @property
    def diverged(self) -> bool:
        """The engine's word, which knows unrecorded steps and those that loss scaling skipped."""
        return self.facts.outcome == "diverged" or self.facts.stopped_by is not None

    @property
    def has_layers(self) -> bool:
        """A log of a finished training has none."""
        return bool(self.hidden)

    @property
    def depth_cut(self) -> Cut:
        return CUTS.get(self.network, STANDARD)

    @property
    def success(self) -> bool:
        return self.trained == "yes"


RULES: Final = "12"


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
    "weight_decay",
    "batch_norm_of_few_cases",
    "missing_norm",
    "post_norm_at_depth",
    "learning_rate",
    "dead_units",
    "depth_without_skip",
    "batch_norm_at_depth",
    "exploding_over_time",
    "truncation",
    "numeric_range",
    "class_imbalance",
    "overlapping_classes",
    "too_few_steps",
    "no_gradient_cause_found",
]


CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence(Finite):
    """One number against its threshold. ``margin`` is how far it lies beyond, negative where it does not reach it.

    ``seeds``: over how many runs the value is a mean.
    """

    signal: str
    layers: tuple[str, ...]
    steps: tuple[int, int] | None
    statistic: str
    value: float | None
    threshold: float | None
    margin: float | None
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRecord(Value):
    """How often a remedy made networks train which had failed under the same verdict, with exact 95 % bounds."""

    repaired: int
    of: int
    low: float
    high: float
    method: Literal["clopper-pearson"] = "clopper-pearson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Finite):
    """A remedy of the catalogue with a reason, and as a spec to paste. ``predicted_gain``: theory's G with it;
    ``direction``: where its value lies beside that of the run; ``record``: None where it was never tried under such a
    verdict; ``estimated_device_seconds``: of all seeds with it, before any are run. ``basis``: what speaks for it; a
    *usual* one makes most networks train, and nothing of this run speaks for it. ``cause``: which one it answers, where
    it is for a cause that the verdict names. ``tried``: a variant of the same experiment has it, or had a part of it in
    vain, or one of an experiment before it on the same baseline; a run alone does not know.

    ``beside``: specs of what belongs to it. One answer is then several remedies at once, each of which alone mends half
    of what is wrong; ``remedy`` names them all, joined by +, and ``spec`` is the first.
    """

    remedy: str
    why: str
    spec: Mapping[str, object]
    predicted_gain: float | None = None
    direction: Literal["lower", "higher"] | None = None
    record: RepairRecord | None = None
    estimated_device_seconds: float | None = None
    basis: Literal["cause", "theory", "usual"] = "cause"
    beside: tuple[Mapping[str, object], ...] = ()
    cause: Cause | None = None
    tried: bool = False

    @property
    def specs(self) -> tuple[Mapping[str, object], ...]:
        """Of all remedies that it is, as a variant takes them."""
        return (self.spec, *self.beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Value):
    """What a verdict says, its numbers aside."""

    kind: Kind
    trained: Trained | Literal["mixed"] | None
    causes: tuple[Cause, ...]


Bound = Literal["low", "mean", "high"]


STEPS: Final = "steps"
"""The rule of a ``Near`` which names a run that failed under steps so long that how it fails, and whether, hangs on
rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near(Finite):
    """A number so close to a threshold that another processor's rounding may take it across (``near.py``).

    ``distance``: between them, in the statistic's own unit. ``would_be``: what the verdict says on the other side; None
    where the steps are so long that it may be any. ``seeds``: of how many runs ``value`` and ``distance`` are means.
    ``bound``: of a G, which number of its interval is near; None of what is one number alone.
    """

    rule: str
    layers: tuple[str, ...]
    statistic: str
    value: float | None
    threshold: float | None
    distance: float | None
    would_be: Outcome | None
    seeds: int = 1
    bound: Bound | None = None


Basis = Literal["layers", "loss"]
"""What was judged: every layer, or of a log without layers its loss alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings(Value):
    """A verdict before it is put into words.

    Where it ``rests_on`` the loss, ``at_start`` and ``at_end`` are inconclusive and have no gain: no gradient was seen.
    """

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
    rests_on: Basis = "layers"
    rules: str = RULES

    @property
    def outcome(self) -> Outcome:
        return Outcome(kind=self.kind, trained=self.trained, causes=self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Findings):
    """What is wrong, where, why and what answers it."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary(Measured):
    """The measured numbers of a run with its verdict."""

    verdict: Verdict
