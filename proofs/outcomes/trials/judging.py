"""Whether a trial shows what it was written to show."""

from proofs.outcomes.cases import CASES
from proofs.outcomes.line import Line
from proofs.outcomes.running import Ran, by_variant, run_all
from proofs.outcomes.trials import TRIALS
from proofs.outcomes.trials.base import Trial


def lines_of(name: str) -> list[Line]:
    """Of a case by its name, or of the trials of a remedy."""
    case = next((case for case in CASES if case.name == name), None)
    return list(case.lines()) if case is not None else [judge(name, trial) for trial in TRIALS[name]]


NOTICEABLE = 0.02
"""Of accuracy or R²: three seeds agree by chance on smaller differences in one of eight trials."""


def judge(remedy: str, trial: Trial) -> Line:
    """Baseline and variant under the same seeds; see ``Trial`` for what counts as help."""
    runs = by_variant(run_all(trial.spec, every=5))
    baseline = runs.pop("baseline")
    # Where the help needs company, the variant with the company alone is what is compared.
    baseline = runs.pop("without", baseline)
    (variant,) = runs.values()
    helped = helps(baseline, variant)
    return Line(
        f"{remedy}: {trial.name}",
        f"{trial.expect}: {trial.why}",
        f"{_seen(baseline)} → {_seen(variant)}",
        helped == (trial.expect == "helps"),
    )


def helps(baseline: list[Ran], variant: list[Ran]) -> bool:
    seeds = len(baseline)
    before, after = _trained(baseline), _trained(variant)
    # In whole numbers: two thirds of three seeds would hang on rounding.
    if 3 * after >= 2 * seeds and 3 * before < seeds:
        return True
    pairs = zip(baseline, variant, strict=True)
    gains = [ours.summary.facts.test_metric - theirs.summary.facts.test_metric for theirs, ours in pairs]
    return min(gains) > 0 and sum(gains) / seeds >= NOTICEABLE


def _trained(runs: list[Ran]) -> int:
    return sum(run.summary.trained == "yes" for run in runs)


def _seen(runs: list[Ran]) -> str:
    metric = " ".join(f"{run.summary.facts.test_metric:.3f}" for run in runs)
    return f"{_trained(runs)}/{len(runs)} trained, {metric}"
