"""One case under the processor's own setting and under another: what is not the same, and whether it says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from gradient_clinic.verdict.shapes import Outcome, Verdict
from models.analysis.verdict.variant import variant_verdict
from proofs.outcomes.processors.trained import Trained, TrainedRun


@dataclass(frozen=True, slots=True)
class Difference:
    """``near``: one of the two verdicts says that it hangs on rounding in what differs."""

    where: str
    native: str
    other: str
    near: bool


@dataclass(frozen=True, slots=True)
class Compared:
    verdicts: int
    differences: tuple[Difference, ...]


def compare(native: Trained, other: Trained) -> Compared:
    """Run by run, variant by variant, line by line."""
    verdicts = 0
    found: list[Difference] = []
    for ours, theirs in zip(native.experiments, other.experiments, strict=True):
        pairs = [*_runs(ours, theirs), *_variants(ours, theirs)]
        verdicts += len(pairs)
        for where, *both in pairs:
            difference = _different(f"{native.name}: {where}", *both)
            found += [] if difference is None else [difference]
    for line, again in zip(native.lines, other.lines, strict=True):
        if line.held != again.held:
            found.append(Difference(line.required, line.seen, again.seen, near=False))
    return Compared(verdicts, tuple(found))


Pair = tuple[str, Verdict, Verdict]


def _runs(ours: Sequence[TrainedRun], theirs: Sequence[TrainedRun]) -> Iterator[Pair]:
    for run, again in zip(ours, theirs, strict=True):
        yield f"{run.variant}, seed {run.seed}", run.summary.verdict, again.summary.verdict


def _variants(ours: Sequence[TrainedRun], theirs: Sequence[TrainedRun]) -> Iterator[Pair]:
    for name in dict.fromkeys(run.variant for run in ours):
        native, other = (
            variant_verdict([run.summary for run in runs if run.variant == name]) for runs in (ours, theirs)
        )
        yield f"{name} over seeds", native, other


def _different(where: str, native: Verdict, other: Verdict) -> Difference | None:
    if native.outcome == other.outcome:
        return None
    # Every part that differs has to be told: one that is near does not excuse another.
    parts = [part.name for part in fields(Outcome)]
    differing = [part for part in parts if getattr(native.outcome, part) != getattr(other.outcome, part)]
    near = all(_says(native, part) or _says(other, part) for part in differing)
    return Difference(where, _words(native.outcome), _words(other.outcome), near)


def _says(verdict: Verdict, field: str) -> bool:
    """Whether a verdict tells that this part of it hangs on rounding."""
    own = getattr(verdict, field)
    return any(near.would_be is None or getattr(near.would_be, field) != own for near in verdict.near)


def _words(outcome: Outcome) -> str:
    return f"{outcome.kind}, trained {outcome.trained}: {', '.join(outcome.causes) or 'no cause'}"
