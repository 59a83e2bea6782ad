"""What a verdict answers and no variant has tried yet, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradient_clinic.verdict.sentences import answer_words, verdict_sentence
from gradient_clinic.verdict.shapes import Answer, Verdict
from gradient_clinic.verdict.wording import TOLD, either
from models.analysis.comparison.grade import HELPS
from models.analysis.comparison.parts import EarlierVariant, VariantComparison
from models.plan.designs import contradict
from models.specs.optimizer import OptimizerSpec

IN_VAIN = frozenset({"harms", "changes_nothing"})
Spec = Mapping[str, object]


def with_tried(
    verdict: Verdict,
    parts: Sequence[VariantComparison],
    earlier: Sequence[EarlierVariant],
    optimizer: OptimizerSpec | None,
) -> Verdict:
    """The verdict on the baseline, with those of its answers marked, and left unsaid, that were tried."""
    left = untested(verdict, parts, earlier, optimizer)
    marked = replace(verdict, answers=tuple(replace(its, tried=its not in left) for its in verdict.answers))
    return replace(marked, sentence=verdict_sentence(marked))


def untested(
    verdict: Verdict,
    parts: Sequence[VariantComparison],
    earlier: Sequence[EarlierVariant],
    optimizer: OptimizerSpec | None,
) -> tuple[Answer, ...]:
    """Its answers that none of the variants is, nor was on this baseline ``earlier``: what was tried is told by its own
    figures. ``parts``: the baseline first; ``optimizer``: the one that its spec names, if any.
    """
    own = None if optimizer is None else optimizer.model_dump(mode="json", exclude_none=True)
    variants: list[VariantComparison | EarlierVariant] = [*parts, *earlier]
    return tuple(
        answer
        for answer in verdict.answers
        if not (answer.tried or _is_tuned(answer, parts) or any(_is_tried(answer, its, own) for its in variants))
    )


def _is_tuned(answer: Answer, parts: Sequence[VariantComparison]) -> bool:
    """A rate that the baseline's tuning has tried."""
    tuning = parts[0].tuning if parts else None
    rates = [] if tuning is None else [tried.learning_rate for tried in tuning.tried]
    return not answer.beside and answer.spec.get("kind") == "learning_rate" and answer.spec.get("value") in rates


def _is_tried(answer: Answer, part: VariantComparison | EarlierVariant, own: Spec | None) -> bool:
    """Whether a variant has it. One of several remedies: where a variant has them all, or had one of them alone and in
    vain; where nothing of the run speaks for them, one that was not shown to help suffices.
    """
    if all(any(_is_as(spec, remedy, own) for remedy in part.remedies) for spec in answer.specs):
        return True
    if not answer.beside or len(part.remedies) != 1 or part.grade is None:
        return False
    in_vain = part.grade.degree in IN_VAIN or (answer.basis == "usual" and part.grade.degree not in HELPS)
    return in_vain and any(_is_as(spec, part.remedies[0], own) for spec in answer.specs)


def _is_as(spec: Spec, remedy: Spec, own: Spec | None) -> bool:
    """Whether they set the same: another rate of the baseline's own optimiser is a learning rate too."""
    one, other = (_of_optimizer(each, own) for each in (spec, remedy))
    field = TOLD.get(str(one["kind"]))
    return other["kind"] == one["kind"] and (field is None or other.get(field) == one.get(field))


def _of_optimizer(remedy: Spec, own: Spec | None) -> Spec:
    if remedy["kind"] != "learning_rate" or own is None:
        return remedy
    return {"kind": "optimizer", "optimizer": {**own, "learning_rate": remedy.get("value")}}


def worth_trying(left: Sequence[Answer], most: int) -> str:
    return either([answer_words(answer) for answer in _worth(left)[:most]])


def beside_or_instead(left: Sequence[Answer], part: VariantComparison, most: int) -> str:
    """'dropout 0.05 too' where one variant can hold it and what ``part`` has; 'layer_norm instead' where none can."""
    worth, held = _worth(left), [str(remedy["kind"]) for remedy in part.remedies]
    beside = [its for its in worth if not contradict(held, [str(spec["kind"]) for spec in its.specs])]
    return f"{worth_trying(beside or worth, most)} {'too' if beside else 'instead'}"


def _worth(left: Sequence[Answer]) -> Sequence[Answer]:
    """What something speaks for; what usually helps only where nothing else is left."""
    return [answer for answer in left if answer.basis != "usual"] or left
