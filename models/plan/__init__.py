"""From spec to plan: plain records that the worker builds, theory walks and ``validate`` counts."""

from models.plan.layers import LayerPlan, NetworkPlan, Shape, TimePoint
from models.plan.networks import plan_network, plan_network_on
from models.plan.rewrites import REWRITES
from models.plan.trial import Plan, Variant, expand, plan_variant, runs_per_variant

__all__ = [
    "REWRITES",
    "LayerPlan",
    "NetworkPlan",
    "Plan",
    "Shape",
    "TimePoint",
    "Variant",
    "expand",
    "plan_network",
    "plan_network_on",
    "plan_variant",
    "runs_per_variant",
]
