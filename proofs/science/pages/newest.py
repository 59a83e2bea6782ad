"""The section on the newest draw: alarms of today's rules where nobody has looked before."""

from collections.abc import Iterator, Mapping

from gradient_clinic.verdict.early import EARLY_RULES
from proofs.science.alarms import MOMENTS, OURS, STEPS
from proofs.science.pages.markdown import Figures, number, table
from proofs.science.published import SETS


def lines(figures: Figures) -> Iterator[str]:
    part, rules = figures["part"], figures["part"]["rules"]
    yield ""
    yield "## Alarms on the newest draw"
    yield ""
    yield f"{figures['cases']} networks × {_seeds(figures['seeds'])}, of a draw that was committed before any run of it"
    yield f"and on which no rule is chosen (`proofs/science/cases/random.py`); {EARLY_RULES}, and rules"
    yield f"{figures['rules']} of the verdict. {part['failed']} runs failed, {part['healthy']} are healthy, as above."
    yield "At the end a failure is named where the kind is an alarm, or where it is `slow` and a cause says why; that"
    yield "no cause of gradients was found, and that steps may have been too few, name none."
    yield "Each cell: recall over failed runs / false alarms over healthy ones."
    yield from table(("rules", *MOMENTS), ([name, *_cells(rules[name])] for name in (OURS, *SETS)))
    for moment in MOMENTS[len(STEPS) - 1 :]:
        ours = rules[OURS][moment]
        yield f"Ours at {moment}: recall {_bounded(ours, 'recall')}, false alarms {_bounded(ours, 'false_alarms')}."
        yield f"Said: {_counted(figures['said'][moment])}."
        yield f"Missed (runs): {_counted(figures['missed'][moment]) or 'none'}."
        yield ""


def _seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _cells(by_moment: Figures) -> Iterator[str]:
    for moment in MOMENTS:
        yield f"{number(by_moment[moment]['recall'])} / {number(by_moment[moment]['false_alarms'], 3)}"


def _bounded(rates: Figures, what: str) -> str:
    bounds = rates[f"{what}_bounds"]
    return number(rates[what], 3) + ("" if bounds is None else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]")


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count}" for name, count in ordered)
