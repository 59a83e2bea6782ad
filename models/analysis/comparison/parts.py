"""The shape of a comparison. What is not known yet is null."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gradient_clinic.gains.depth_axis import TimeFacts
from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.shapes import Cause, Verdict
from models.analysis.comparison.factorial import Factorial
from models.analysis.comparison.layers import LayerComparison
from models.analysis.comparison.tuning import Tuning
from models.analysis.statistics.modes import Mode
from models.analysis.statistics.numbers import Number
from models.analysis.statistics.pairing import Pairing
from models.analysis.statistics.power import ALPHA

Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Primary = Literal["success_difference", "metric_difference"]
Measure = Literal["metric", "loss"]
"""Of how far a run came: the metric of the test part, or the loss of the training data."""
Degree = Literal["repairs", "improves", "no_difference_shown", "harms", "changes_nothing"]
Certainty = Literal["shown", "promising"]
By = Literal["success", "metric", "loss", "gradients"]
ShownBy = Literal["success_difference", "metric_difference", "metric_progress", "loss_progress", "gradients"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Success(_Answer):
    """How many of the runs that trained to their end close half the way from chance, with the exact interval."""

    count: int
    of: int
    low: Number
    high: Number
    method: Literal["clopper-pearson"] = "clopper-pearson"


class Outcomes(_Answer):
    """``metric`` (test set) and ``loss`` (final training loss) over successes only; ``metric_of_all`` over all trained
    runs whose metric is finite, successes or not; ``modes`` where that falls into two groups: no mean describes them.
    ``closed``: the share of the way from chance to the best possible over all trained runs, by metric and by loss.
    ``majority_share``: the accuracy of always saying the commonest label; null where cases have no label each.
    ``neighbour_accuracy``: that of a vote of a case's 15 nearest training cases, or of the nearest if that is more;
    null with more than 20 features.
    ``chance_loss``: that of who knows no case, a mean over the runs that were trained; null where it is not known.
    """

    success: Success
    metric: Estimate
    loss: Estimate
    metric_of_all: Estimate | None = None
    modes: tuple[Mode, Mode] | None = None
    closed: Mapping[Measure, Estimate] = {}
    majority_share: Number = None
    neighbour_accuracy: Number = None
    chance_loss: Number = None


class GradientMoment(_Answer):
    gain_per_layer: Estimate | None
    total_gain: Estimate
    time: tuple[TimeFacts, ...] = ()
    """Of recurrent layers, back through the steps."""
    judged: bool = True
    """False of one hidden layer, whose G is 0 by definition."""


class PredictedGradient(_Answer):
    gain_per_layer: Number
    total_gain: Number
    caveats: tuple[str, ...]
    notes: tuple[str, ...] = ()


class ProfileLayer(_Answer):
    """r = ln(rms δ of the layer / rms δ of the last hidden layer), measured and by theory."""

    layer: str
    index: int
    at_start: Estimate | None
    at_end: Estimate | None
    predicted: Number


class Gradient(_Answer):
    at_start: GradientMoment | None
    at_end: GradientMoment | None
    predicted: PredictedGradient
    profile: tuple[ProfileLayer, ...]


class MeasuredCost(_Answer):
    """``device_seconds`` of all the variant's runs, those of its tuning included."""

    step_time_ratio: Estimate
    parameters: int
    peak_memory_bytes: int | None
    device_seconds: Number


class Unchanged(_Answer):
    """In ``count`` of the ``of`` seeds of both the run's trace equals the baseline's bit for bit."""

    count: int
    of: int

    @property
    def everywhere(self) -> bool:
        return self.count == self.of


class Progress(_Answer):
    """``difference`` of the share of the way that was closed, paired by seed, over all seeds in which both were
    trained. ``p`` of a paired t-test, ``p_holm`` adjusted for all variants and both measures. ``smallest_shown``: the
    mean difference that would have been shown at this spread; null where the differences do not spread.
    """

    difference: Estimate
    p: Number
    p_holm: Number
    smallest_shown: Number

    @property
    def is_shown(self) -> bool:
        """By its adjusted test and by its interval."""
        low, high = self.difference.low or 0.0, self.difference.high or 0.0
        return self.p_holm is not None and self.p_holm < ALPHA and not low <= 0.0 <= high


class Grade(_Answer):
    """What a variant is beside the baseline. *repairs*: it trains where the baseline does not; *improves*: it comes
    further; *harms*: the reverse of either. ``shown``: an interval or an adjusted test over at least 5 seeds says so;
    ``promising``: the seeds agree and are few. ``by``: the first that decides, of successes, metric, loss.
    """

    degree: Degree
    certainty: Certainty | None = None
    by: By | None = None


class ShownCause(_Answer):
    """A cause of what is wrong with the baseline. By *rule*: its own numbers show it. By *trial*: ``variants``, which
    each change one thing, come further, in ``seeds``.
    """

    cause: Cause
    shown_by: Literal["rule", "trial"]
    variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


def _shown_by(known: Mapping[str, Any]) -> ShownBy | None:
    """What the grade rests on; where it rests on nothing, what is to be read first. From fields of a
    ``VersusBaseline``, so that answers which were stored without it have it too.
    """
    grade: Grade | None = known["grade"]
    primary: Primary | None = known["primary"]
    progress: Mapping[Measure, Progress] = known["progress"]
    by = None if grade is None else grade.by
    if by == "gradients":
        return "gradients"
    without_metric = primary == "metric_difference" and known["metric_difference"].mean is None
    if by == "loss" or (without_metric and "loss" in progress):
        return "loss_progress"
    if primary == "success_difference" and (by == "metric" or is_slight(grade, progress)):
        return "metric_progress"
    return primary


def is_slight(grade: Grade | None, progress: Mapping[Measure, Progress]) -> bool:
    """The metric differs, and by less than is called an improvement or a harm."""
    unlike = grade is not None and grade.degree == "no_difference_shown"
    return unlike and "metric" in progress and progress["metric"].is_shown


class VersusBaseline(_Answer):
    """``test``, ``effect_size`` (paired Hedges g), ``p_holm``, ``pairing`` and ``seeds_needed`` are of the metric;
    ``primary`` is to be read first. ``effect_size_interval`` is that of g, which is of the mean of all seeds where
    ``metric_difference`` is of their middle half too. ``seeds_needed``: with which a paired t-test would find, with
    power 0.8, the difference that these seeds do not show. ``unchanged`` is null where runs of earlier versions do not
    tell, and where no seed has both. ``progress``: how far runs came. ``grade``: null where no run has ended.
    ``shown_by``: the difference that the grade rests on, else ``primary``. Of it, ``metric_progress`` and
    ``loss_progress`` are in ``progress``, ``gradients`` are of untrained networks. Null where there is none.
    """

    success_difference: Estimate
    metric_difference: Estimate
    effect_size: Number
    effect_size_interval: Estimate | None = None
    test: str
    p_holm: Number
    pairing: Pairing | None = None
    seeds_needed: int | None = None
    primary: Primary | None
    layers: tuple[LayerComparison, ...]
    repaired_layers: tuple[str, ...]
    unchanged: Unchanged | None = None
    progress: Mapping[Measure, Progress] = {}
    grade: Grade | None = None
    shown_by: ShownBy | None = Field(default_factory=_shown_by)

    @property
    def shown_difference(self) -> Estimate | None:
        """None where it is shown by gradients, or by nothing."""
        match self.shown_by:
            case "success_difference":
                return self.success_difference
            case "metric_difference":
                return self.metric_difference
            case "metric_progress":
                return self.progress["metric"].difference
            case "loss_progress":
                return self.progress["loss"].difference
        return None


class VariantComparison(_Answer):
    """``tuned``: the learning rate of its runs, where it was chosen for this variant; ``tuning``: what was tried."""

    experiment_id: Id
    name: str
    remedies: tuple[Mapping[str, object], ...]
    runs: Mapping[str, int]
    tuned: Mapping[str, float] | None
    tuning: Tuning | None = None
    verdict: Verdict | None
    outcomes: Outcomes
    gradient: Gradient
    cost: MeasuredCost
    versus_baseline: VersusBaseline | None
    sentence: str

    @property
    def grade(self) -> Grade | None:
        """None for the baseline, and where no run has ended."""
        return None if self.versus_baseline is None else self.versus_baseline.grade


class EarlierVariant(_Answer):
    """A variant of an experiment on the same baseline that this one goes back to by ``suggested_from``."""

    experiment_id: Id
    name: str
    remedies: tuple[Mapping[str, object], ...]
    success: Success
    grade: Grade


class Comparison(_Answer):
    """``answer``: what is wrong and which remedies are shown to help, in a few sentences; ``causes``: of the baseline,
    by its own numbers and by what changing one thing did; ``earlier``: what was tried before, and not here once more.
    """

    experiment_id: Id
    metric: str
    answer: str = ""
    causes: tuple[ShownCause, ...] = ()
    notes: tuple[str, ...]
    variants: tuple[VariantComparison, ...]
    earlier: tuple[EarlierVariant, ...] = ()
    factorial: Factorial | None
