"""Which variants a spec asks for: the baseline, the arms of its design by name, or its explicit variants.

What a remedy does is in ``models/plan/rewrites.py``; here it is a name, a place in the spec, and what it sets.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from models.specs.base import Problem, Spec, SpecError, leaves
from models.specs.experiment import ExperimentSpec, VariantSpec
from models.specs.remedy import REMEDIES, RemedySpec
from models.specs.slots import Slot

BASELINE = "baseline"
MAX_FACTORS = 5


def named_variants(spec: ExperimentSpec) -> list[tuple[str, str, tuple[RemedySpec, ...]]]:
    """(name, where in the spec, remedies) of every variant, the baseline first."""
    baseline: list[tuple[str, str, tuple[RemedySpec, ...]]] = [(BASELINE, "network", ())]
    if spec.variants is not None:
        return baseline + [
            (variant.name, f"variants[{index}]", variant.remedies)
            for index, variant in enumerate(spec.variants)
            if not _is_baseline(variant, index)
        ]
    if spec.design == "full_factorial" and len(spec.remedies) > MAX_FACTORS:
        message = f"a full factorial of {len(spec.remedies)} remedies has {2 ** len(spec.remedies)} variants"
        raise SpecError(Problem("remedies", len(spec.remedies), message, f"at most {MAX_FACTORS} remedies"))
    if spec.design == "leave_one_out" and len(spec.remedies) == 1:
        message = "leaving out the only remedy leaves the baseline"
        raise SpecError(Problem("design", spec.design, message, "at least 2 remedies, or another design"))
    return baseline + [
        (name, "remedies", tuple(spec.remedies[index] for index in indices)) for name, indices in _arms(spec)
    ]


def remedy_names(remedies: Sequence[RemedySpec]) -> tuple[str, ...]:
    """A remedy's kind; where a kind repeats, with the first parameter that differs; if still equal, ``#2``.

    >>> from models.specs.training_remedies import ClipNormRemedy
    >>> remedy_names([ClipNormRemedy(kind="clip_norm"), ClipNormRemedy(kind="clip_norm", max_norm=5.0)])
    ('clip_norm(1.0)', 'clip_norm(5.0)')
    """
    names: list[str] = []
    for remedy in remedies:
        same_kind = [_parameters(other) for other in remedies if other.kind == remedy.kind]
        paths = dict.fromkeys(path for parameters in same_kind for path in parameters)
        differing = next((p for p in paths if len({repr(parameters.get(p)) for parameters in same_kind}) > 1), None)
        name = remedy.kind if differing is None else f"{remedy.kind}({_parameters(remedy).get(differing)})"
        # A name that a client reads must say which remedy it is, even of two that are equal.
        earlier = sum(taken == name or taken.startswith(f"{name}#") for taken in names)
        names.append(name if earlier == 0 else f"{name}#{earlier + 1}")
    return tuple(names)


def contradiction(name: str, where: str, remedies: Sequence[RemedySpec]) -> Problem | None:
    by_slot: dict[str, str] = {}
    for remedy, shown in zip(remedies, remedy_names(remedies), strict=True):
        for slot in remedy.slots:
            if slot in by_slot:
                message = (
                    f"variant {name!r} holds {by_slot[slot]} and {shown}, which contradict each other: "
                    f"both set the {slot.replace('_', ' ')}"
                )
                return Problem(where, [by_slot[slot], shown], message, "one remedy of this kind in a variant")
            by_slot[slot] = shown
    return None


def contradict(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether one variant cannot hold both. Remedies by kind, as stored answers and comparisons have them."""
    return bool(_slots(some) & _slots(others))


def _slots(kinds: Iterable[str]) -> set[Slot]:
    return {slot for kind in kinds for slot in REMEDIES[kind].slots}  # type: ignore[attr-defined]


def _parameters(remedy: Spec) -> dict[str, object]:
    """The remedy's parameters by dotted name, its own kind left out."""
    return {path: value for path, value in leaves(remedy.model_dump()) if path != "kind"}


def _arms(spec: ExperimentSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The variants of the spec's design beside the baseline: a name and the indices of its remedies."""
    names = remedy_names(spec.remedies)
    everything = tuple(range(len(names)))
    # Without remedies "all" would be the baseline once more.
    if not names:
        return
    if spec.design in {"one_at_a_time", "add_all"}:
        yield from ((name, (index,)) for index, name in enumerate(names))
    if spec.design in {"add_all", "leave_one_out"}:
        yield "all", everything
    if spec.design == "leave_one_out":
        yield from ((f"all-{name}", everything[:i] + everything[i + 1 :]) for i, name in enumerate(names))
    if spec.design == "full_factorial":
        for size in range(1, len(names)):
            yield from (("+".join(names[i] for i in some), some) for some in itertools.combinations(everything, size))
        yield "all", everything


def _is_baseline(variant: VariantSpec, index: int) -> bool:
    if variant.name != BASELINE:
        return False
    if variant.remedies:
        message = "the baseline is the network without remedies; it is always there"
        raise SpecError(Problem(f"variants[{index}].name", BASELINE, message, "another name"))
    return True
