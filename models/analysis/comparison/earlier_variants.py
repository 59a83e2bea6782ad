"""What experiments have found that this one was suggested from, as far as it holds here: on the same baseline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.wording import number
from models.analysis.comparison.grade import HELPS, VERBS, is_promising, named, of_runs
from models.analysis.comparison.parts import EarlierVariant, VariantComparison
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec

BASELINE: Final = (
    *("dataset", "network", "objective", "metric", "optimizer", "batch_size", "drop_last", "epochs", "steps"),
    *("tune", "stop_when"),
)
"""All that decides what a run of the baseline is, its seed aside."""
MOST_HELPING: Final = 3
MOST_IN_VAIN: Final = 6
"""Of each so many are named."""


@dataclass(frozen=True, slots=True)
class Told:
    """An earlier experiment, and of each of its variants what its stored comparison says, its baseline included."""

    experiment_id: str
    spec: StoredSpec
    parts: Sequence[Mapping[str, object]]


def told_by(spec: StoredSpec, earlier: Sequence[Told]) -> tuple[EarlierVariant, ...]:
    """Of variants with the same remedies that with the most seeds; of those the first."""
    found: dict[str, EarlierVariant] = {}
    for one in earlier:
        if not _is_same_baseline(spec, one.spec):
            continue
        # Without a grade are baselines, and variants of which no run has ended.
        for part in (part for part in one.parts if part["grade"] is not None):
            variant = EarlierVariant.model_validate({"experiment_id": one.experiment_id, **part})
            same = found.setdefault(_key(variant), variant)
            if variant.success.of > same.success.of:
                found[_key(variant)] = variant
    return tuple(found.values())


def _is_same_baseline(spec: StoredSpec, other: StoredSpec) -> bool:
    if not (isinstance(spec, ExperimentSpec) and isinstance(other, ExperimentSpec)):
        return False
    return all(getattr(spec, name) == getattr(other, name) for name in BASELINE)


def still_telling(earlier: Sequence[EarlierVariant], parts: Sequence[VariantComparison]) -> tuple[EarlierVariant, ...]:
    """Without what is compared here, or was tried here once more."""
    here = {_key(part) for part in parts if part.grade is not None}
    return tuple(each for each in earlier if _key(each) not in here)


def _key(part: EarlierVariant | VariantComparison) -> str:
    return repr(sorted(repr(sorted(remedy.items())) for remedy in part.remedies))


def repairing(earlier: Sequence[EarlierVariant]) -> EarlierVariant | None:
    """The surest of those that repair, the one with the most seeds first."""
    repair = [each for each in _helping(earlier) if each.grade.degree == "repairs"]
    return repair[0] if repair else None


def _helping(earlier: Sequence[EarlierVariant]) -> list[EarlierVariant]:
    those = [each for each in earlier if each.grade.degree in HELPS]
    return sorted(those, key=lambda its: (its.grade.degree != "repairs", is_promising(its), -its.success.of))


def use_earlier(part: EarlierVariant) -> str:
    """What to do where an earlier experiment has the answer."""
    if is_promising(part):
        confirm = f"Use {named(part)}, and confirm it on more than {of_runs(part.success)}"
        return f"{confirm}: in an earlier experiment it seemed to repair this baseline"
    return f"Use {named(part)}: an earlier experiment has shown that it repairs this baseline"


def told_earlier(earlier: Sequence[EarlierVariant]) -> Iterator[str]:
    """Each that helped, by its successes; the others by their names."""
    helping = _helping(earlier)
    for part in helping[:MOST_HELPING]:
        did = VERBS[part.grade.degree, part.grade.certainty]
        count, of = part.success.count, part.success.of
        trains = f", {'and' if count else 'but'} trains in {count} of {of} runs" * (of > 0)
        yield f"In an earlier experiment on this baseline, {named(part)} {did} it{trains}"
    if in_vain := [named(each) for each in earlier if each not in helping]:
        more = len(in_vain) - MOST_IN_VAIN
        names = ", ".join(in_vain[:MOST_IN_VAIN]) + (f" and {number(more)} more" if more > 0 else "")
        yield f"Tried in an earlier experiment on this baseline, without being shown to help: {names}"
