"""Variants against the baseline: successes, metric, gradients layer by layer, cost. From summaries alone; of one
experiment, or of several.

An answer can be had at any time: it uses the runs that ended and its notes say which are missing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from gradient_clinic.gains.depth_axis import GradientFacts
from gradient_clinic.intervals import Estimate, t_interval
from gradient_clinic.verdict.wording import metric_words
from models.analysis.comparison.answer import answer_of
from models.analysis.comparison.arms import Arm, RunRow, Runs, Trial
from models.analysis.comparison.causes_by_trial import causes_of
from models.analysis.comparison.earlier_variants import still_telling
from models.analysis.comparison.factorial import Factorial, analyse
from models.analysis.comparison.from_chance import progress_of
from models.analysis.comparison.layers import profile
from models.analysis.comparison.left_to_try import with_tried
from models.analysis.comparison.outcomes import outcomes_of
from models.analysis.comparison.parts import (
    Comparison,
    EarlierVariant,
    Gradient,
    GradientMoment,
    MeasuredCost,
    PredictedGradient,
    ProfileLayer,
    VariantComparison,
    VersusBaseline,
)
from models.analysis.comparison.phrases import baseline_sentence, variant_sentence
from models.analysis.comparison.remarks import notes_of
from models.analysis.comparison.tuning import tuning_of
from models.analysis.comparison.versus import tests_of, versus
from models.analysis.statistics.methods import Method
from models.analysis.theory.prediction import predict
from models.analysis.verdict.variant import gradients
from models.plan.watched import AnyPlan, AnyVariant, WatchedPlan, trained_here
from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import IngestedSpec, StoredSpec

__all__ = ["Comparison", "RunRow", "Trial", "VariantComparison", "compare"]

OF_A_LOG: Final = "no layers were recorded: theory has nothing to say"
OF_SIZES: Final = "the network was watched: theory has the sizes of its weights at the first step, and no plan"
OF_CODE: Final = "the network is a plug-in's: theory has the sizes of its weights at the first step, and no plan"
GEOMETRIC: Final = "t on ln ratios, paired by seed"


def compare(trial: Trial, *others: Trial, earlier: Sequence[EarlierVariant] = ()) -> Comparison:
    """The comparison of one experiment, or of several against the baseline of the first one; ``earlier``: what was
    found on that before.

    SpecError where the experiments have other data or another loss: their figures do not compare.
    """
    trials = (trial, *others)
    _must_have_the_same_data(trials)
    first, *arms = [arm for one in trials for arm in one.arms()]
    tests, progress = tests_of(first.ended, arms), progress_of(first.ended, arms)
    beside = [versus(arm, first, tested, came) for arm, tested, came in zip(arms, tests, progress, strict=True)]
    against = [None, *beside]
    parts = [_variant(arm, first.ended, its) for arm, its in zip((first, *arms), against, strict=True)]
    earlier = still_telling(earlier, parts)
    # After all parts: which of the baseline's answers were tried already only the other variants say.
    if first.verdict is not None:
        told = with_tried(first.verdict, parts, earlier, trial.spec.optimizer)
        parts[0] = parts[0].model_copy(update={"verdict": told})
    metric, causes = metric_words(trial.spec.metric), causes_of(first, arms, beside)
    # Words last: they read all that was put into the parts before.
    said = [baseline_sentence(parts[0], metric), *(variant_sentence(part, metric) for part in parts[1:])]
    parts = [part.model_copy(update={"sentence": text}) for part, text in zip(parts, said, strict=True)]
    return Comparison(
        experiment_id=trial.experiment_id,
        metric=trial.spec.metric,
        answer=" ".join(answer_of(parts, metric, trial.spec.optimizer, causes, earlier)),
        causes=causes,
        notes=tuple(notes_of(trials, parts)),
        variants=tuple(parts),
        earlier=earlier,
        factorial=None if others else _factorial(trial),
    )


def _must_have_the_same_data(trials: Sequence[Trial]) -> None:
    first = trials[0].spec
    for other in trials[1:]:
        if _of_data(other.spec) != _of_data(first):
            message = (
                f"its data, its loss or its metric are not those of {trials[0].experiment_id}: figures do not compare"
            )
            raise SpecError(Problem("experiment_ids", other.experiment_id, message, "experiments on the same data"))


def _of_data(spec: StoredSpec) -> tuple[object, ...]:
    """What others have trained compares where it names the same data."""
    if isinstance(spec, IngestedSpec):
        return spec.name if spec.data is None else "", spec.data, spec.metric
    return spec.dataset, spec.objective, spec.metric


def _factorial(trial: Trial) -> Factorial | None:
    spec, variants = trial.spec, [its for one in trial.variants if (its := trained_here(one)) is not None]
    if (
        not isinstance(spec, ExperimentSpec)
        or spec.design != "full_factorial"
        or spec.variants is not None
        or not spec.remedies
    ):
        return None
    ended = {arm.variant.name: arm.ended for arm in trial.arms()}
    return analyse(spec.remedies, variants, ended, spec.metric)


def _variant(arm: Arm, baseline: Runs, against: VersusBaseline | None) -> VariantComparison:
    """``against``: None for the baseline itself."""
    variant, summaries = arm.variant, list(arm.ended.values())
    shown = {state: arm.states.get(state, 0) for state in ("succeeded", "failed", "cancelled", "queued", "running")}
    return VariantComparison(
        experiment_id=arm.experiment_id,
        name=variant.name,
        remedies=tuple(remedy.model_dump(mode="json", exclude_none=True) for remedy in variant.remedies),
        runs={**shown, "diverged": sum(run.facts.outcome == "diverged" for run in summaries)},
        tuned=None if arm.learning_rate is None else {"learning_rate": arm.learning_rate},
        tuning=tuning_of(arm.tried, arm.learning_rate) if arm.tried else None,
        verdict=arm.verdict,
        outcomes=outcomes_of(arm.ended, arm.variant.plan.experiment.metric),
        gradient=_gradient(variant, arm.ended),
        cost=_cost(arm, baseline),
        versus_baseline=against,
        sentence="",
    )


def _gradient(variant: AnyVariant, runs: Runs) -> Gradient:
    predicted, expected = _predicted(variant.plan)
    start, end = gradients(list(runs.values())) if runs else (None, None)
    starts, ends = profile(runs, "at_start"), profile(runs, "at_end")
    return Gradient(
        at_start=_moment(start),
        at_end=_moment(end),
        predicted=predicted,
        profile=tuple(
            ProfileLayer(
                layer=layer.name,
                index=layer.index,
                at_start=starts[layer.name].estimate(Method.T) if starts else None,
                at_end=ends[layer.name].estimate(Method.T) if ends else None,
                predicted=expected.get(layer.name),
            )
            for layer in variant.plan.network.hidden
        ),
    )


def _caveat(plan: WatchedPlan) -> str:
    if plan.trained is not None:
        return OF_CODE
    return OF_SIZES if plan.layers else OF_A_LOG


def _predicted(plan: AnyPlan) -> tuple[PredictedGradient, Mapping[str, float | None]]:
    """With r of each hidden layer."""
    if isinstance(plan, WatchedPlan):
        gain, caveat = plan.setup.predicted_gain, _caveat(plan)
        return PredictedGradient(gain_per_layer=None, total_gain=gain, caveats=(caveat,), notes=()), {}
    theory = predict(plan.network, plan.experiment.batch_size)
    gradient = PredictedGradient(
        gain_per_layer=theory.gain_per_layer,
        total_gain=theory.total_gain,
        caveats=theory.caveats,
        notes=theory.notes,
    )
    return gradient, theory.profile


def _moment(facts: GradientFacts | None) -> GradientMoment | None:
    if facts is None:
        return None
    return GradientMoment(
        gain_per_layer=facts.gain_per_layer, total_gain=facts.total_gain, time=facts.time, judged=facts.judged
    )


def _cost(arm: Arm, baseline: Runs) -> MeasuredCost:
    runs = arm.ended.values()
    # Tuning as well: a variant that had to be tuned has cost that too.
    spent = [*(run.facts.device_seconds for run in runs), *(tried.device_seconds for tried in arm.tried)]
    return MeasuredCost(
        step_time_ratio=_step_time_ratio(arm.ended, baseline),
        parameters=arm.variant.plan.network.parameters,
        peak_memory_bytes=max((run.facts.peak_memory_bytes for run in runs), default=None),
        device_seconds=math.fsum(spent),
    )


def _step_time_ratio(runs: Runs, baseline: Runs) -> Estimate:
    """The geometric mean of ratios of median step times, so that A to B is the inverse of B to A.

    A run's step time is already a median over its steps: a step that waited for another process moves no run.
    """
    logs = [
        math.log(run.facts.step_seconds / baseline[seed].facts.step_seconds)
        for seed, run in runs.items()
        if seed in baseline and _is_time(run.facts.step_seconds) and _is_time(baseline[seed].facts.step_seconds)
    ]
    return t_interval(logs).exp().estimate(GEOMETRIC)


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0.0
