"""One variant against the baseline, paired by seed: successes, metric, layers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.analysis.comparison.arms import Arm, Runs
from models.analysis.comparison.grade import grade_of_gradients, grade_of_runs
from models.analysis.comparison.layers import compare_layers
from models.analysis.comparison.parts import Grade, Measure, Primary, Progress, Unchanged, VersusBaseline
from models.analysis.statistics.effects import hedges_g, hedges_g_interval, holm, paired_success_difference
from models.analysis.statistics.methods import Method
from models.analysis.statistics.over_seeds import paired_over_seeds, paired_test
from models.analysis.statistics.pairing import pairing_of
from models.analysis.statistics.power import seeds_to_show

NEWCOMBE: Final = "newcombe paired score"
HEDGES: Final = "paired hedges g, noncentral t"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metric of the variant and of the baseline over the seeds where both trained."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def differences(self) -> list[float]:
        return [ours - theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]


@dataclass(frozen=True, slots=True)
class Tested:
    """The metric's differences with their test; ``family``: how many variants were tested beside each other."""

    metrics: Metrics
    test: str
    p_holm: float | None
    family: int


def tests_of(baseline: Runs, arms: Sequence[Arm]) -> list[Tested]:
    """Of every variant, adjusted for each other."""
    pairs = [_metrics(arm.ended, baseline) for arm in arms]
    tests = [paired_test(one.differences) for one in pairs]
    adjusted = holm([p for _, p in tests])
    family = sum(p is not None for p in adjusted)
    return [Tested(one, test, p, family) for one, (test, _), p in zip(pairs, tests, adjusted, strict=True)]


def _metrics(runs: Runs, baseline: Runs) -> Metrics:
    both = [
        (run.facts.test_metric, baseline[seed].facts.test_metric)
        for seed, run in runs.items()
        if run.success and seed in baseline and baseline[seed].success
    ]
    # Of seeds where both trained: a run at chance tells how often a variant fails, and successes count that.
    finite = [pair for pair in both if all(math.isfinite(value) for value in pair)]
    return Metrics(tuple(ours for ours, _ in finite), tuple(theirs for _, theirs in finite))


def versus(arm: Arm, first: Arm, tested: Tested, progress: Mapping[Measure, Progress]) -> VersusBaseline:
    """``first``: the baseline, whose seeds pair."""
    runs, baseline = arm.ended, first.ended
    # Only seeds of which both say whether they trained: an untrained network succeeds at nothing.
    judged = [seed for seed, run in runs.items() if run.trained and seed in baseline and baseline[seed].trained]
    ours, theirs = [runs[seed].success for seed in judged], [baseline[seed].success for seed in judged]
    names = dict.fromkeys(name for run in (*baseline.values(), *runs.values()) for name in run.hidden)
    # Of a variant of which no run has ended the plan says which layers there will be.
    planned = (layer.name for layer in arm.variant.plan.network.hidden)
    layers = compare_layers(baseline, runs, tuple(names) or tuple(planned))
    # At the end where something was trained: what a remedy repairs only before the first step is lost again.
    decided = [(layer.layer, layer.at_end or layer.at_start) for layer in layers]
    off_chance = [(runs[seed].trained != "no") - (baseline[seed].trained != "no") for seed in judged]
    successes = paired_success_difference(ours, theirs).estimate(NEWCOMBE)
    return VersusBaseline(
        success_difference=successes,
        metric_difference=paired_over_seeds(tested.metrics.differences),
        effect_size=hedges_g(tested.metrics.differences),
        effect_size_interval=hedges_g_interval(tested.metrics.differences).estimate(HEDGES),
        test=tested.test,
        p_holm=tested.p_holm,
        pairing=pairing_of(tested.metrics.ours, tested.metrics.theirs),
        seeds_needed=(
            # The formula is that of a paired t-test; under another one it would say nothing of the test that was made.
            seeds_to_show(tested.metrics.differences, tested.p_holm, tested.family)
            if tested.test == Method.PAIRED_T
            else None
        ),
        primary=_primary(ours, theirs),
        layers=layers,
        repaired_layers=tuple(name for name, change in decided if change.state == "repaired"),
        unchanged=(unchanged := _unchanged(runs, baseline)),
        progress=progress,
        grade=_grade(arm, first, unchanged, grade_of_runs(ours, theirs, successes, progress, off_chance)),
    )


def _grade(arm: Arm, first: Arm, unchanged: Unchanged | None, of_runs: Grade) -> Grade | None:
    if arm.verdict is None or first.verdict is None:
        return None
    if unchanged is not None and unchanged.everywhere:
        return Grade(degree="changes_nothing", certainty="shown")
    return grade_of_gradients(first.verdict, arm.verdict) if arm.verdict.trained is None else of_runs


def _unchanged(runs: Runs, baseline: Runs) -> Unchanged | None:
    both = [(run.trace_digest, baseline[seed].trace_digest) for seed, run in runs.items() if seed in baseline]
    if not both or any(digest is None for pair in both for digest in pair):
        return None
    return Unchanged(count=sum(ours == theirs for ours, theirs in both), of=len(both))


def _primary(ours: Sequence[bool], theirs: Sequence[bool]) -> Primary | None:
    """What to read first: where runs train or die, how many train. Null where none was trained."""
    if not ours:
        return None
    return "metric_difference" if all(ours) and all(theirs) else "success_difference"
