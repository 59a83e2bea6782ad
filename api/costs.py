"""What an experiment will cost before it runs: runs, steps, trace values, device time, seeds for an effect."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.calibration import SecondsRange, scale
from api.variants import planned
from gradient_clinic.signals import SIGNALS
from models.analysis.statistics.power import seeds_needed
from models.analysis.suggestion.choice import Suggested
from models.plan import Plan, Variant, runs_per_variant
from models.plan.cost import run_seconds
from models.plan.idle import without_effect
from models.specs.experiment import ExperimentSpec
from models.specs.remedy import RemedySpec
from models.specs.uploaded import UploadedSpec

EFFECT = 0.05
"""Five points of accuracy: what most readers would call a difference."""
ASSUMED_SD = 0.05
"""Of the paired difference. A round figure: over five seeds of ``examples/deep-sigmoid.json`` the standard deviation
of the accuracy was 0.01 with batch norm and 0.08 with ReLU."""

PRINTED = 1e9
"""A ratio below this is printed in full."""


class VariantCost(BaseModel):
    """``parameters``: null of a plug-in, which nobody has built yet."""

    name: str
    remedies: list[RemedySpec]
    parameters: int | None


class SeedsNeeded(BaseModel):
    """Seeds with which a paired two-sided t-test finds ``effect`` with power 0.8 at the 5 % level."""

    effect: float
    n: int


class Cost(BaseModel):
    """``steps`` of one run; ``runs``, ``trace_values`` and ``estimated_device_seconds`` of all of them. ``suggested``:
    of each remedy that the clinic has chosen what it tests and why; null where it was not asked to. What hangs on the
    layers of a network is null for a plug-in.
    """

    variants: list[VariantCost]
    runs: int
    steps: int
    trace_values: int | None
    estimated_device_seconds: float | None
    estimated_device_seconds_range: SecondsRange | None
    warnings: list[str]
    suggested: Sequence[Suggested] | None
    seeds_needed: SeedsNeeded


def estimate(session: Session, spec: ExperimentSpec, suggested: Sequence[Suggested] | None) -> Cost:
    """Nothing is stored. SpecError where the spec cannot be. ``suggested``: what the clinic has chosen, if asked."""
    variants = planned(spec)
    runs = runs_per_variant(spec)
    plans = [variant.plan for variant in variants]
    seconds, within = _seconds(session, spec, plans)
    # Before a worker has built it nothing is known of its layers.
    is_code = spec.network.kind == "plugin"
    values = sum(len(SIGNALS) * len(plan.network.rows) * plan.recorded_steps for plan in plans)
    return Cost(
        variants=[
            VariantCost(
                name=variant.name,
                remedies=list(variant.remedies),
                parameters=None if is_code else variant.plan.network.parameters,
            )
            for variant in variants
        ],
        runs=runs * len(variants),
        steps=plans[0].steps,
        trace_values=None if is_code else runs * values,
        estimated_device_seconds=seconds,
        estimated_device_seconds_range=within,
        warnings=_warnings(spec, variants, suggested),
        suggested=suggested,
        seeds_needed=SeedsNeeded(effect=EFFECT, n=seeds_needed(EFFECT / ASSUMED_SD)),
    )


def _seconds(session: Session, spec: ExperimentSpec, plans: Sequence[Plan]) -> tuple[float | None, SecondsRange | None]:
    """Of all runs, and between which they will lie."""
    if spec.network.kind == "plugin":
        return None, None
    here = scale(session, spec.device)
    # The plan's own estimate, in the time of this installation's machines.
    seconds = sum(run_seconds(plan) for plan in plans) * runs_per_variant(spec) * here.factor
    return round(seconds, 3), here.range_of(seconds)


def _twice(variants: Sequence[Variant]) -> list[list[str]]:
    """The names of variants that hold the same remedies, in whatever order."""
    by_remedies: dict[tuple[str, ...], list[str]] = {}
    for variant in variants:
        # As JSON, so that parameters count and the order of the remedies does not.
        held = tuple(sorted(remedy.model_dump_json() for remedy in variant.remedies))
        by_remedies.setdefault(held, []).append(variant.name)
    # Those without any remedy are left out: of each it is said already that it changes nothing.
    return [names for held, names in by_remedies.items() if held and len(names) > 1]


def _drowned(spec: ExperimentSpec) -> Iterator[str]:
    """Columns of an upload that one scale for all of them makes constants."""
    known = spec.dataset.known if isinstance(spec.dataset, UploadedSpec) else None
    apart = None if known is None else known.columns_apart
    if apart is not None and spec.dataset.standardise == "scalar":
        times = f"{float(f'{apart.ratio:.2g}'):,.0f}" if apart.ratio < PRINTED else f"{apart.ratio:.1e}"
        larger = f"its numbers are about {times} times as large"
        yield f'"standardise": "scalar" lets {apart.large} drown {apart.small}: {larger}; "feature" scales each column'


def _warnings(spec: ExperimentSpec, variants: Sequence[Variant], suggested: Sequence[Suggested] | None) -> list[str]:
    baseline = variants[0].plan
    said = [
        f"{variant.name} changes nothing: {why}"
        for variant in variants[1:]
        if (why := without_effect(variant.plan, baseline)) is not None
    ]
    said += [f"{', '.join(names)} are one and the same" for names in _twice(variants)]
    # A 95 % interval is ±1.24 standard deviations wide with five seeds, ±2.5 with three and ±9 with two.
    seeds = len(spec.seed_list())
    if seeds == 1:
        said.append("one seed gives no interval over seeds; 5 or more are usual")
    elif seeds < 5:
        said.append(f"{seeds} seeds give wide intervals; 5 or more are usual")
    if baseline.steps == 0:
        said.append("steps: 0 measures the untrained network; nothing is said about whether it trains")
    if spec.trace.budget is not None:
        said.append("trace.budget: every run chooses its cadence as it begins; trace_values is the most there can be")
    said += _drowned(spec)
    if suggested is not None and not suggested:
        said.append("nothing is suggested: the plan shows no cause that a single change could test")
    if spec.network.kind == "plugin":
        said.append(
            "the network is a plug-in: its parameters, traces and device time are known once a worker builds it"
        )
    if spec.device == "gpu":
        said.append("device gpu: the runs wait until a worker with a GPU takes them")
    return said
