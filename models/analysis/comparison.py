"""Variants against the baseline: successes, metric, gradients layer by layer, cost. From summaries alone.

An answer can be had at any time: it uses the runs that ended and its notes say which are missing.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.analysis.comparison_parts import (
    Comparison,
    Cost,
    Gradient,
    GradientMoment,
    Outcomes,
    PredictedGradient,
    Primary,
    ProfileLayer,
    Success,
    VariantComparison,
    VersusBaseline,
)
from models.analysis.comparison_sentences import comparison_notes, variant_sentence
from models.analysis.factorial import analyse
from models.analysis.gradient import GradientFacts
from models.analysis.layers import PAIRED, compare_layers, profile
from models.analysis.prediction import predict
from models.analysis.statistics import (
    Estimate,
    clopper_pearson,
    hedges_g,
    holm,
    paired_success_difference,
    paired_t_p,
    t_interval,
)
from models.analysis.summary import RunSummary
from models.analysis.tuning import Tried, tuning_of
from models.analysis.variant import gradients, variant_verdict
from models.designs import BASELINE
from models.plan import Variant
from models.specs.experiment import ExperimentSpec
from models.status import State

__all__ = ["Comparison", "RunRow", "VariantComparison", "compare"]

NEWCOMBE: Final = "newcombe paired score"
GEOMETRIC: Final = "t on ln ratios, paired by seed"

Runs = Mapping[int, RunSummary]
NOTHING_TRIED: Final[Mapping[str, Sequence[Tried]]] = {}


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the experiment, with its summary once it has succeeded."""

    variant: str
    seed: int
    state: str
    summary: RunSummary | None = None
    learning_rate: float | None = None
    """That tuning has chosen."""


def compare(
    spec: ExperimentSpec,
    variants: Sequence[Variant],
    runs: Sequence[RunRow],
    tried: Mapping[str, Sequence[Tried]] = NOTHING_TRIED,
    *,
    experiment_id: str,
) -> Comparison:
    """The contract's Comparison of one experiment, from whichever of its runs have ended.

    ``tried``: what the runs of tuning have found, by variant.
    """
    ended: dict[str, dict[int, RunSummary]] = {variant.name: {} for variant in variants}
    states = {variant.name: Counter[str]() for variant in variants}
    for row in sorted(runs, key=lambda row: row.seed):
        states[row.variant][row.state] += 1
        if row.summary is not None and row.state == State.SUCCEEDED:
            ended[row.variant][row.seed] = row.summary
    baseline = ended[BASELINE]
    p_values = [paired_t_p(_metric_differences(baseline, ended[v.name])) for v in variants if v.name != BASELINE]
    adjusted = iter(holm(p_values))
    rates = {row.variant: row.learning_rate for row in runs}
    parts = [
        _variant(
            v,
            ended[v.name],
            states[v.name],
            baseline,
            None if v.name == BASELINE else next(adjusted),
            _Tuned(rates.get(v.name), tried.get(v.name, ())),
        )
        for v in variants
    ]
    metric = metric_of(spec)
    missing = [(row.variant, row.seed, row.state) for row in runs if row.state != State.SUCCEEDED]
    factorial = spec.design == "full_factorial" and spec.variants is None and len(spec.remedies) > 0
    return Comparison(
        experiment_id=experiment_id,
        metric=metric,
        notes=comparison_notes(spec, parts, missing, untrained=variants[0].plan.steps == 0),
        variants=tuple(parts),
        factorial=analyse(spec.remedies, variants, ended, metric) if factorial else None,
    )


def metric_of(spec: ExperimentSpec) -> str:
    """Of the test part: the share of right labels, or R² = 1 − squared error / variance where the target is a value."""
    return "r2" if spec.dataset.facts.target == "value" else "accuracy"


@dataclass(frozen=True, slots=True)
class _Tuned:
    """The rate that tuning has chosen for a variant, if it has, and all that it has tried."""

    learning_rate: float | None
    tried: Sequence[Tried]


def _variant(  # noqa: PLR0913, PLR0917 -- all that is known of a variant
    variant: Variant, runs: Runs, states: Mapping[str, int], baseline: Runs, p_holm: float | None, tuned: _Tuned
) -> VariantComparison:
    summaries = list(runs.values())
    diverged = sum(run.facts.outcome == "diverged" for run in summaries)
    shown = {state: states.get(state, 0) for state in ("succeeded", "failed", "cancelled", "queued", "running")}
    part = VariantComparison(
        name=variant.name,
        remedies=tuple(remedy.model_dump(mode="json", exclude_none=True) for remedy in variant.remedies),
        runs={**shown, "diverged": diverged},
        tuned=None if tuned.learning_rate is None else {"learning_rate": tuned.learning_rate},
        tuning=tuning_of(tuned.tried, tuned.learning_rate) if tuned.tried else None,
        verdict=variant_verdict(summaries) if summaries else None,
        outcomes=_outcomes(runs),
        gradient=_gradient(variant, runs),
        cost=_cost(variant, runs, baseline, tuned.tried),
        versus_baseline=None if variant.name == BASELINE else _versus(variant, runs, baseline, p_holm),
        sentence="",
    )
    return part.model_copy(update={"sentence": variant_sentence(part, metric_of(variant.plan.experiment))})


def _outcomes(runs: Runs) -> Outcomes:
    judged = [run for run in runs.values() if run.trained is not None]
    successes = [run for run in judged if run.success]
    bounds = clopper_pearson(len(successes), len(judged))
    low, high = bounds if bounds is not None else (None, None)
    return Outcomes(
        success=Success(count=len(successes), of=len(judged), low=low, high=high),
        metric=t_interval([run.facts.test_metric for run in successes]).estimate("t"),
        loss=t_interval([run.final_loss for run in successes if run.final_loss is not None]).estimate("t"),
    )


def _gradient(variant: Variant, runs: Runs) -> Gradient:
    theory = predict(variant.plan.network, variant.plan.experiment.batch_size)
    start, end = gradients(list(runs.values())) if runs else (None, None)
    starts, ends = profile(runs, "at_start"), profile(runs, "at_end")
    return Gradient(
        at_start=_moment(start),
        at_end=_moment(end),
        predicted=PredictedGradient(
            gain_per_layer=theory.gain_per_layer, total_gain=theory.total_gain, caveats=theory.caveats
        ),
        profile=tuple(
            ProfileLayer(
                layer=layer.name,
                index=layer.index,
                at_start=starts[layer.name].estimate("t") if starts else None,
                at_end=ends[layer.name].estimate("t") if ends else None,
                predicted=theory.profile[layer.name],
            )
            for layer in variant.plan.network.hidden
        ),
    )


def _moment(facts: GradientFacts | None) -> GradientMoment | None:
    if facts is None:
        return None
    return GradientMoment(gain_per_layer=facts.gain_per_layer, total_gain=facts.total_gain, time=facts.time)


def _cost(variant: Variant, runs: Runs, baseline: Runs, tried: Sequence[Tried]) -> Cost:
    return Cost(
        step_time_ratio=_step_time_ratio(runs, baseline),
        parameters=variant.plan.network.parameters,
        peak_memory_bytes=max((run.facts.peak_memory_bytes for run in runs.values()), default=None),
        device_seconds=math.fsum(
            [*(run.facts.device_seconds for run in runs.values()), *(one.device_seconds for one in tried)]
        ),
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


def _metric_differences(baseline: Runs, runs: Runs) -> list[float]:
    """Variant less baseline over the seeds where both trained."""
    both = [
        (run.facts.test_metric, baseline[seed].facts.test_metric)
        for seed, run in runs.items()
        if run.success and seed in baseline and baseline[seed].success
    ]
    return [ours - theirs for ours, theirs in both if math.isfinite(ours) and math.isfinite(theirs)]


def _versus(variant: Variant, runs: Runs, baseline: Runs, p_holm: float | None) -> VersusBaseline:
    judged = [seed for seed, run in runs.items() if run.trained and seed in baseline and baseline[seed].trained]
    ours, theirs = [runs[seed].success for seed in judged], [baseline[seed].success for seed in judged]
    differences = _metric_differences(baseline, runs)
    names = dict.fromkeys(name for run in (*baseline.values(), *runs.values()) for name in run.hidden)
    layers = compare_layers(baseline, runs, tuple(names) or tuple(layer.name for layer in variant.plan.network.hidden))
    decided = [(layer.layer, layer.at_end or layer.at_start) for layer in layers]
    return VersusBaseline(
        success_difference=paired_success_difference(ours, theirs).estimate(NEWCOMBE),
        metric_difference=t_interval(differences).estimate(PAIRED),
        effect_size=hedges_g(differences),
        test=PAIRED,
        p_holm=p_holm,
        primary=_primary(ours, theirs),
        layers=layers,
        repaired_layers=tuple(name for name, change in decided if change.state == "repaired"),
    )


def _primary(ours: Sequence[bool], theirs: Sequence[bool]) -> Primary | None:
    """What to read first: where runs train or die, how many train. Null where none was trained."""
    if not ours:
        return None
    return "metric_difference" if all(ours) and all(theirs) else "success_difference"
