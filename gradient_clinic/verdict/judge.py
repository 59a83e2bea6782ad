"""The verdict of one run: what the rules find of its numbers, and then the words."""

from collections.abc import Callable

from gradient_clinic.values import fields_of
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.causes import find_causes
from gradient_clinic.verdict.facts.registry import shown_first, shown_last
from gradient_clinic.verdict.near import find_near
from gradient_clinic.verdict.sentences import verdict_sentence
from gradient_clinic.verdict.shapes import Answer, Cause, Evidence, Findings, Verdict

Advice = Callable[[Case, tuple[Cause, ...]], tuple[Answer, ...]]


def no_advice(_: Case, __: tuple[Cause, ...]) -> tuple[Answer, ...]:
    """Who knows no remedies names none."""
    return ()


def judge(case: Case, advice: Advice = no_advice) -> Verdict:
    """``advice``: which remedies answer a case of these causes."""
    causes, shown = find_causes(case)
    found = Findings(
        kind=case.kind,
        at_start=case.at_start,
        at_end=case.at_end,
        trained=case.measured.trained,
        causes=causes,
        conditions=case.measured.facts.conditions,
        evidence=_distinct(
            *(fact.of(case) for fact in shown_first(case)), *shown, *(fact.of(case) for fact in shown_last(case))
        ),
        answers=advice(case, causes),
        seeds={case.kind: 1},
        near=find_near(case),
        rests_on="layers" if case.measured.has_layers else "loss",
    )
    return in_words(found)


def in_words(found: Findings) -> Verdict:
    return Verdict(**fields_of(found), sentence=verdict_sentence(found))


def _distinct(*found: Evidence | None) -> tuple[Evidence, ...]:
    """In order, each once: a worst layer may be both a headline's and a cause's evidence."""
    return tuple(dict.fromkeys(item for item in found if item is not None))
