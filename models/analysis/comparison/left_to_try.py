"""What a verdict answers and no variant has tried yet, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gradient_clinic.verdict.shapes import Answer, Verdict
from models.analysis.comparison.parts import VariantComparison

TOLD: Final = {
    "activation": "function",
    "dropout": "p",
    "init": "init",
    "learning_rate": "value",
    "optimizer": "optimizer",
    "warm_up": "steps",
}
"""What a remedy of these kinds is, beside its name."""


def untested(verdict: Verdict, parts: Sequence[VariantComparison]) -> tuple[Answer, ...]:
    """Its answers that none of the variants is: what was tried here is told by its own figures."""
    return tuple(answer for answer in verdict.answers if not any(_is_tried(answer, part) for part in parts))


def _is_tried(answer: Answer, part: VariantComparison) -> bool:
    """Whether a variant has it; one of several remedies where a variant has them all."""
    return all(any(_is_as(spec, remedy) for remedy in part.remedies) for spec in answer.specs)


def _is_as(spec: Mapping[str, object], remedy: Mapping[str, object]) -> bool:
    field = TOLD.get(str(spec["kind"]))
    return remedy["kind"] == spec["kind"] and (field is None or remedy.get(field) == spec.get(field))


def worth_trying(left: Sequence[Answer], most: int) -> str:
    """What something speaks for; what usually helps only where nothing else is left."""
    supported = [answer for answer in left if answer.basis != "usual"]
    return either([_asked(answer) for answer in (supported or left)[:most]])


def either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _asked(answer: Answer) -> str:
    """'learning_rate 0.0001 (lower)', 'layer_norm with optimizer adam'."""
    named = " with ".join(" ".join([str(spec["kind"]), *values_of(spec)]) for spec in answer.specs)
    return named if answer.direction is None else f"{named} ({answer.direction})"


def values_of(remedy: Mapping[str, object]) -> Iterator[str]:
    """What it is, where its kind alone does not say it."""
    value = remedy.get(TOLD.get(str(remedy.get("kind")), ""))
    if value is not None:
        yield str(value["kind"] if isinstance(value, Mapping) else value)
