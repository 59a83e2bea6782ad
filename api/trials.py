"""The variants of a new spec, unless they are too many."""

from models.plan import Variant, expand
from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentSpec

MOST_LAYERS = 20_000
"""Over all variants; a tenth of a second of planning, and a second for a comparison while its runs are trained."""


def planned(spec: ExperimentSpec) -> tuple[Variant, ...]:
    """Every variant with its plan, the baseline first. SpecError where one cannot be, or where they are too many."""
    layers = layers_of(spec)
    if layers > MOST_LAYERS:
        message = f"the layers of all variants are about {layers:,}"
        field = "variants" if spec.variants is not None else "remedies"
        raise SpecError(Problem(field, layers, message, f"at most {MOST_LAYERS:,} layers over all variants"))
    return expand(spec)


def layers_of(spec: ExperimentSpec) -> int:
    """Of all variants, as far as it can be said without planning them."""
    variants = 1 + len(spec.variants if spec.variants is not None else spec.remedies)
    return variants * spec.network.layer_count
