"""What an experiment will cost before it runs: runs, steps, trace values, device time, seeds for an effect.

The model of a step's time counts arithmetic and dispatch; finished runs of this installation correct its scale.
"""

import math
from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session
from statsmodels.stats.power import TTestPower

from models.plan import LayerPlan, Plan, Variant, expand, remedy_names
from models.signals import SIGNALS
from models.specs.experiment import ExperimentSpec
from models.specs.remedy import RemedySpec
from models.status import State
from models.tables import Experiment, Run

SECONDS_PER_LAYER = 60e-6
SECONDS_PER_NORM = 60e-6
SECONDS_PER_FLOP = 1 / 40e9
RECORDING_PER_LAYER = 60e-6
SECONDS_PER_RUN = 0.05
RECENT_RUNS = 30
EFFECT = 0.05
"""Five points of accuracy: what most readers would call a difference."""
ASSUMED_SD = 0.05
"""Of the paired difference between two variants, as seen on digits and MNIST at a few hundred steps."""


class VariantCost(BaseModel):
    name: str
    remedies: list[RemedySpec]
    parameters: int


class SeedsNeeded(BaseModel):
    """Seeds with which a paired two-sided t-test finds ``effect`` with power 0.8 at the 5 % level."""

    effect: float
    n: int


class Cost(BaseModel):
    """``steps`` of one run; ``runs``, ``trace_values`` and ``estimated_device_seconds`` of all of them."""

    variants: list[VariantCost]
    runs: int
    steps: int
    trace_values: int
    estimated_device_seconds: float
    warnings: list[str]
    seeds_needed: SeedsNeeded


def estimate(session: Session, spec: ExperimentSpec) -> Cost:
    """Nothing is stored. SpecError where the spec cannot be."""
    variants = expand(spec)
    seeds = len(spec.seed_list())
    plans = [variant.plan for variant in variants]
    seconds = sum(run_seconds(plan) for plan in plans) * seeds * _scale(session)
    return Cost(
        variants=[
            VariantCost(name=one.name, remedies=list(one.remedies), parameters=one.plan.network.parameters)
            for one in variants
        ],
        runs=seeds * len(variants),
        steps=plans[0].steps,
        trace_values=seeds * sum(len(SIGNALS) * len(plan.layers) * plan.recorded_steps for plan in plans),
        estimated_device_seconds=round(seconds, 3),
        warnings=_warnings(spec, variants),
        seeds_needed=SeedsNeeded(effect=EFFECT, n=seeds_needed(EFFECT / ASSUMED_SD)),
    )


def run_seconds(plan: Plan) -> float:
    """Device time of one run: its steps, what is recorded of them, and its beginning and end."""
    recording = RECORDING_PER_LAYER * len(plan.layers) * plan.recorded_steps
    return SECONDS_PER_RUN + plan.steps * step_seconds(plan) + recording


def step_seconds(plan: Plan) -> float:
    return sum(_layer_seconds(layer, plan.experiment.batch_size) for layer in plan.layers)


def _layer_seconds(layer: LayerPlan, batch: int) -> float:
    """Forward once, backward twice: 6 flops per weight and case."""
    arithmetic = 6.0 * batch * layer.fan_in * layer.fan_out * SECONDS_PER_FLOP
    return SECONDS_PER_LAYER + arithmetic + SECONDS_PER_NORM * (layer.normalization is not None)


def seeds_needed(effect_size: float) -> int:
    return math.ceil(TTestPower().solve_power(effect_size=effect_size, alpha=0.05, power=0.8))


def _scale(session: Session) -> float:
    """Measured over modelled step time: the median over recent runs of this installation; 1 without any."""
    recent = session.execute(
        select(Experiment.spec, Run.variant, Run.summary)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.state == State.SUCCEEDED, Run.steps > 0)
        .order_by(Run.id.desc())
        .limit(RECENT_RUNS)
    ).all()
    ratios = []
    for row in recent:
        plan = next(variant.plan for variant in expand(row.spec) if variant.name == row.variant)
        measured = row.summary.facts.step_seconds
        if math.isfinite(measured) and measured > 0:
            ratios.append(measured / step_seconds(plan))
    return sorted(ratios)[len(ratios) // 2] if ratios else 1.0


def _warnings(spec: ExperimentSpec, variants: Sequence[Variant]) -> list[str]:
    baseline = variants[0].plan
    said = [
        f"{', '.join(remedy_names(variant.remedies))} changes nothing: the network is so already"
        for variant in variants[1:]
        if (variant.plan.network, variant.plan.optimizer, variant.plan.run_time)
        == (baseline.network, baseline.optimizer, baseline.run_time)
    ]
    seeds = len(spec.seed_list())
    if seeds == 1:
        said.append("one seed gives no interval over seeds; 5 or more are usual")
    elif seeds < 5:
        said.append(f"{seeds} seeds give wide intervals; 5 or more are usual")
    if baseline.steps == 0:
        said.append("steps: 0 measures the untrained network; nothing is said about whether it trains")
    if spec.device == "gpu":
        said.append("device gpu: the runs wait until a worker with a GPU takes them")
    return said
