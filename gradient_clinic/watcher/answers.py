"""What usually answers a cause, in a line of the report. Specs of remedies, tried and priced, are the service's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gradient_clinic.verdict.facts.of_steps import SHORT_STEP, SMALL_STEP
from gradient_clinic.verdict.shapes import Cause, Verdict

USUAL: Final[Mapping[Cause, str]] = {
    "symmetric_weights": "draw the weights at random around zero",
    "input_scale": "standardise the inputs",
    "target_scale": "standardise the targets",
    "initialisation": "draw the weights at the variance that keeps signals in size, or put norms behind the layers",
    "saturating_activation": "use ReLU in place of the activation, or norms",
    "dropout_noise": "use less dropout",
    "weight_decay": "use a lower weight decay, such as 0.01",
    "batch_norm_of_few_cases": "use layer norm in place of batch norm",
    "missing_norm": "put a norm before the output, or use a lower learning rate",
    "post_norm_at_depth": "normalise before each block in place of behind it, or let the learning rate rise at first",
    "learning_rate": "use a lower learning rate, or clip the gradients",
    "dead_units": "use a leaky activation",
    "depth_without_skip": "add skips",
    "batch_norm_at_depth": "use layer norm in place of batch norm",
    "exploding_over_time": "clip the gradients, or use orthogonal weights or a gated cell",
    "truncation": "let the gradient go back over the whole sequence",
    "numeric_range": "standardise the inputs; in float16, scale the loss up or use bfloat16",
    "class_imbalance": "weight the classes",
    "overlapping_classes": "look for features that tell the classes apart: a vote of the nearest cases is as good",
    "too_few_steps": "train for more steps",
    "no_gradient_cause_found": "look at the data and their labels: nothing in the gradients explains it",
}
"""That of docs/verdicts.md."""
HIGHER: Final = "use a higher learning rate"
LONGER: Final = "train for more steps, or use a higher learning rate: nothing in the gradients stands against it"
"""Of a network that has left chance, and no cause."""


def worth_trying(verdict: Verdict) -> str:
    """A sentence; empty where nothing is wrong."""
    return f"Worth trying: {'; '.join(dict.fromkeys(_answers(verdict.causes, verdict)))}." if verdict.causes else ""


def _answers(causes: Sequence[Cause], verdict: Verdict) -> Iterator[str]:
    too_short = any(item.statistic in {SHORT_STEP.name, SMALL_STEP.name} for item in verdict.evidence)
    for cause in causes:
        if cause == "learning_rate" and too_short:
            yield HIGHER
        elif cause == "no_gradient_cause_found" and verdict.trained == "partly":
            yield LONGER
        else:
            yield USUAL[cause]
