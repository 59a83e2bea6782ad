"""From spec to plan: plain records that the worker builds, theory walks and ``validate`` counts."""

from models.plan.planners import plan_network, plan_network_on
from models.plan.rewrites import REWRITES
from models.plan.tree import LayerPlan, NetworkPlan, Shape
from models.plan.variants import Plan, Variant, expand, plan_variant, plan_with, runs_per_variant

__all__ = [
    "REWRITES",
    "LayerPlan",
    "NetworkPlan",
    "Plan",
    "Shape",
    "Variant",
    "expand",
    "plan_network",
    "plan_network_on",
    "plan_variant",
    "plan_with",
    "runs_per_variant",
]
