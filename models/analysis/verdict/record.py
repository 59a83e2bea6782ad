"""How an answer has done before, and what it would cost.

Counts are of networks drawn at random, which are none of those that advice is judged on: ``docs/science.md`` has both.
``proofs/science`` trains them and writes ``record.json``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from gradient_clinic.verdict.shapes import Answer, Cause, RepairRecord, RunKind
from models.analysis.statistics.effects import clopper_pearson
from models.plan import Plan, plan_with
from models.plan.cost import run_seconds
from models.plan.idle import without_effect
from models.specs.base import SpecError
from models.specs.remedy import RemedySpec

_REMEDY: Final[TypeAdapter[RemedySpec]] = TypeAdapter(RemedySpec)
FILE: Final = Path(__file__).with_name("record.json")
Counts = Mapping[str, Mapping[str, tuple[int, int]]]
"""(repaired, of) by the cause that a verdict names first, or its kind where it names none, and by remedy."""


@cache
def counts() -> Counts:
    """As the file has them."""
    kept: Counts = json.loads(FILE.read_text(encoding="utf-8"))
    return kept


def remedies_of(answer: Answer) -> tuple[RemedySpec, ...]:
    """The remedies that it is: one, or several that belong together."""
    return read(answer.specs)


def read(specs: Iterable[Mapping[str, object]]) -> tuple[RemedySpec, ...]:
    """Remedies, as answers have them."""
    return tuple(_REMEDY.validate_python(spec) for spec in specs)


def told(plan: Plan, kind: RunKind, causes: tuple[Cause, ...], answer: Answer) -> Answer | None:
    """The answer with its record under this verdict, and its price: that of all the experiment's seeds, by a new
    installation's estimate; none of a plug-in's, whose work no plan says. None where the plan refuses it, or is so
    already.
    """
    try:
        treated = plan_with(plan, *remedies_of(answer))
    except SpecError:
        return None
    if without_effect(treated, plan) is not None:
        return None
    record = record_of(causes[0] if causes else kind, answer.remedy)
    if plan.network.kind == "plugin":
        return replace(answer, record=record)
    seconds = run_seconds(treated) * len(plan.experiment.seed_list())
    return replace(answer, record=record, estimated_device_seconds=round(seconds, 3))


def record_of(stands: Cause | RunKind, remedy: str) -> RepairRecord | None:
    repaired, of = counts().get(stands, {}).get(remedy, (0, 0))
    bounds = clopper_pearson(repaired, of)
    return None if bounds is None else RepairRecord(repaired=repaired, of=of, low=bounds[0], high=bounds[1])
