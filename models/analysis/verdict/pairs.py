"""Remedies that belong together as one answer: where two causes hold that have nothing to do with each other, each of
its remedies mends half of what is wrong, and tried alone shows nothing.

The one is of the network, its weights, norms or paths; the other is the rate. That a rate is out of range is read off
its optimiser alone: how far the weights move is no sign, as gradients that vanish or explode decide it too.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.shapes import Answer, Cause
from gradient_clinic.verdict.wording import capital, number
from models.analysis.verdict.answers_to_causes import SHALLOW, answer, rate_beyond, usual_optimizer
from models.analysis.verdict.record import remedies_of, told
from models.plan import Plan
from models.specs.slots import Slot
from models.specs.structural_remedies import BatchNormRemedy, ReZeroRemedy

OF_THE_NETWORK: Final[frozenset[Slot]] = frozenset({"init", "normalization", "norm_position", "activation", "skip"})
ELSEWHERE: Final[frozenset[Cause]] = frozenset(
    {
        "symmetric_weights",
        "input_scale",
        "target_scale",
        "dropout_noise",
        "weight_decay",
        "batch_norm_of_few_cases",
        "class_imbalance",
        "overlapping_classes",
        "exploding_over_time",
        "truncation",
    }
)
"""Causes that no path through the network and no norm in it mends."""
PLACE: Final = 2
"""Of what usually helps taken together: behind two answers that speak for themselves."""


def with_pairs(plan: Plan, case: Case, causes: tuple[Cause, ...], answers: Sequence[Answer]) -> Iterator[Answer]:
    """The answers, and among them those that are several remedies at once.

    Where the rate is out of range beside a fault of the network, both together come first and the rate alone behind;
    before them where gradients are in range before the first step, as it may suffice there.
    """
    if plan.network.recurrent or ELSEWHERE & set(causes) or case.measured.trained is None:
        yield from answers
        return
    pair, usual = ([*_told(plan, case, causes, its)] for its in (_both(plan, answers), _together(plan, case)))
    rates = [its for its in answers if its.remedy in {"learning_rate", "optimizer"}]
    # One remedy is the cheaper trial where it may do.
    inside = rates[:1] if case.starts_inside else []
    first = [*inside, *pair, *(its for its in rates if its not in inside)] if pair else []
    ordered = [*first, *(its for its in answers if its not in first)]
    others = [its for its in usual if all(its.specs != other.specs for other in ordered)]
    yield from [*ordered[:PLACE], *others, *ordered[PLACE:]]


def _told(plan: Plan, case: Case, causes: tuple[Cause, ...], found: Iterator[Answer]) -> Iterator[Answer]:
    """With its record and price, where the network bears them all."""
    yield from (its for each in found if (its := told(plan, case.kind, causes, each)) is not None)


def _both(plan: Plan, answers: Sequence[Answer]) -> Iterator[Answer]:
    """The first answer of the network that something speaks for, with a usual rate where this one is out of range."""
    side, shown = rate_beyond(plan), [its for its in answers if its.basis != "usual"]
    # The first alone: with each of them the rate would be named again, and the list be of little else.
    network = next((its for its in shown if OF_THE_NETWORK & set(remedies_of(its)[0].slots)), None)
    rate = next(usual_optimizer(plan), None)
    if side is None or network is None or rate is None:
        return
    optimizer = plan.optimizer
    beyond = f"the rate of {number(optimizer.learning_rate)} is out of what {optimizer.kind} bears"
    reasons = f"{capital(network.why.rstrip('.'))}. {capital(beyond)}: {rate.why}"
    why = f"Two things at once, as each alone mends half. {reasons}"
    yield joined((network, rate), why, network.basis, side)


def _together(plan: Plan, case: Case) -> Iterator[Answer]:
    """What makes most networks train, at once: nothing of this run speaks for each, and together they leave little."""
    kind, parts = plan.network.kind, list[Answer]()
    is_deep = not case.setup.has_skips and len(plan.network.hidden) > SHALLOW
    if is_deep and kind in ReZeroRemedy.about.applies_to:
        parts.append(answer(ReZeroRemedy(kind="rezero"), "a path around every block"))
    if not case.measured.batch_norm and kind in BatchNormRemedy.about.applies_to:
        parts.append(answer(BatchNormRemedy(kind="batch_norm"), "h of variance 1 in every layer"))
    parts += usual_optimizer(plan)
    if parts:
        why = f"what makes most networks train, at once: {'; '.join(part.why for part in parts)}"
        yield joined(parts, why, "usual")


def joined(
    parts: Sequence[Answer],
    why: str,
    basis: Literal["cause", "theory", "usual"],
    direction: Literal["lower", "higher"] | None = None,
) -> Answer:
    """Several answers as one, which no one of them is."""
    return Answer(
        remedy="+".join(part.remedy for part in parts),
        why=why,
        spec=parts[0].spec,
        beside=tuple(part.spec for part in parts[1:]),
        predicted_gain=parts[0].predicted_gain,
        direction=direction,
        basis=basis,
        cause=parts[0].cause,
    )
