"""The section on advice: whether what a verdict names makes a failed network train."""

from collections.abc import Iterator
from typing import Final

from proofs.science.advice import AUTOTRAINER, BUDGET, FIRST, NAMES, OURS, RANDOM
from proofs.science.alarms import FAILED, HEALTHY
from proofs.science.pages.markdown import Figures, number, table

CALLED: Final = {
    OURS: "**ours**",
    RANDOM: "as many remedies at random",
    AUTOTRAINER: "AutoTrainer's order",
}


def lines(figures: Figures) -> Iterator[str]:
    yield ""
    yield "## Advice: does it repair"
    yield ""
    yield f"{figures['networks']} networks drawn at random from the whole catalogue, of a draw that was committed"
    yield "before any run of it and on which no rule is chosen (`proofs/science/cases/random.py`), one seed, 250 steps."
    yield f"{figures['failed']} failed (training accuracy below {FAILED:g} at the end) and {figures['healthy']} are"
    yield f"healthy ({HEALTHY:g} or more). An answer **repairs** a failed network where the same network, data, seed"
    yield f"and steps with it end at {HEALTHY:g} or more. One that only moves the failure is none, nor is one that"
    yield f"needs more steps. {_share(figures['by_any'])} of the failed ones are repaired by any of all that was tried."
    yield ""
    yield f"The first {BUDGET} are tried, each by itself. **Ours** are the answers of the verdict, in order, with"
    yield f"values; {figures['sets'][OURS]} of {figures['tried'][OURS]} are several remedies at once"
    yield "(`models/analysis/verdict/pairs.py`). At random: kinds that change this network, each kind once, with"
    yield "parameters at random where they have no default (a rate × .01, .1, 10 or 100), as many at once as ours has"
    yield "in that place. AutoTrainer (Zhang et al., ICSE 2021): its rules 10 to 12 name the problem, and its fixed"
    yield "order of repairs follows; one that cannot be put in is passed over."
    header = (
        "advice",
        "the first repairs",
        *(f"one of {first}" for first in FIRST[1:]),
        f"out of failure: one of {BUDGET}",
    )
    rows = ([CALLED[name], *_repaired(figures, name)] for name in NAMES)
    yield from table(header, rows)
    yield f"Out of failure: {FAILED:g} or more. In brackets exact 95 % bounds. Networks repaired, by kind and"
    yield f"first cause of the verdict (by one of {BUDGET} of the others):"
    rows = ([name, *(str(count) for count in row.values())] for name, row in figures["by_verdict"].items())
    yield from table(("verdict", "failed", *(f"first {first}" for first in FIRST), *NAMES[1:]), rows)
    yield f"Harm: {figures['advised_healthy']} of {figures['healthy']} healthy networks are given advice, and"
    yield f"{_share(figures['harmed'][str(BUDGET)])} no longer end at {HEALTHY:g} with one of it."
    yield ""
    if figures["unrepaired"]:
        yield "Not repaired, with the accuracy that each piece of advice ends at:"
        header = ("network", "verdict", "ours", "repaired by")
        yield from table(header, (_unrepaired(run) for run in figures["unrepaired"]))
    yield "The record that the product tells beside an answer is of another draw:"
    counted = figures["record_networks"]
    yield f"{counted or 'as many'} networks{'' if counted else ' as before, not counted again'}, all answers to those"
    yield "that did not end healthy. Repaired of tried,"
    yield "by the cause that the verdict names first (its kind, where it names none):"
    yield from table(("stands", "remedy", "repaired", "of"), _record(figures))


def _repaired(figures: Figures, name: str) -> Iterator[str]:
    for first in FIRST:
        yield _bounded(figures["repaired"][name][str(first)])
    yield _bounded(figures["out_of_failure"][name][str(BUDGET)])


def _bounded(counts: Figures) -> str:
    bounds = counts["bounds"]
    return number(counts["share"]) + ("" if bounds is None else f" [{bounds[0]:.2f}, {bounds[1]:.2f}]")


def _share(counts: Figures) -> str:
    return f"{counts['count']} of {counts['of']} ({number(counts['share'])})"


def _unrepaired(run: Figures) -> list[str]:
    return [run["case"], run["verdict"], ", ".join(run["ours"]) or "–", ", ".join(run["others"]) or "–"]


def _record(figures: Figures) -> Iterator[list[str]]:
    for stands, remedies in figures["record"].items():
        for remedy, (repaired, of) in remedies.items():
            yield [stands, remedy, str(repaired), str(of)]
