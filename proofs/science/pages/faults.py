"""The section on causes: faults that are injected on purpose."""

from collections.abc import Iterator, Mapping, Sequence

from gradient_clinic.verdict.shapes import CAUSES
from proofs.science.pages.markdown import Figures, percent, table


def lines(figures: Figures) -> Iterator[str]:
    yield ""
    yield "## Causes: faults put in on purpose"
    yield ""
    yield f"One fault at a time in networks that are healthy without it, {figures['seeds']} seeds, digits, 250 steps."
    yield f"Rules {figures['rules']} of the verdict. That inputs out of scale are a numeric cause was added to them"
    yield "after a first look at this table, in which the injected cause was named in 75.9 %."
    yield "Skips are left out of 80 critical ReLU layers: orthogonal weights, a leaky activation, layer norm or a"
    yield "tenth of the rate do not let those learn, and skips or fewer layers do (seeds 100 and 101). The rule was"
    yield "chosen on seeds from 100 on. Until then skips were left out of 24 layers with torch's default, where"
    yield "`initialisation` was named, and rightly: He or orthogonal weights alone let all of five seeds learn. A"
    yield "sigmoid at depth has `initialisation` beside it, as theory puts its weights beyond the cut of the verdict."
    yield "Where a base did not train under a seed, its faults are left out under that seed."
    yield f"{figures['harmed']} of {figures['runs']} runs were harmed; the others trained all the same, and have"
    yield f"nothing to name. `causes` holds the injected one in **{percent(figures['named'])} %** of the harmed runs,"
    yield f"where as many causes at random ({figures['names_a_run']:.2f} a run) would"
    yield f"in {percent(figures['guessed'])} %; it is the only one named in {percent(figures['named_alone'])} %"
    yield f"(at random {percent(figures['guessed_alone'])} %)."
    header = ("fault", "injected", "harmed", "named %", "alone %", "not named in")
    yield from table(header, (_fault_row(name, fault) for name, fault in figures["faults"].items()))
    yield "Injected × named, harmed runs. A run may name several."
    injected = dict.fromkeys(fault["cause"] for fault in figures["faults"].values())
    known = [cause for cause in CAUSES if all(cause in fault["causes"] for fault in figures["faults"].values())]
    yield from table(("injected", *known), ([cause, *_named(figures, cause, known)] for cause in injected))
    healthy = "; ".join(f"{base}: {_counted(kinds)}" for base, kinds in figures["bases"].items())
    yield f"Without a fault: {healthy}."


def _fault_row(name: str, fault: Figures) -> list[str]:
    shares = percent(fault["named"]), percent(fault["named_alone"])
    harmed = f"{fault['harmed']} of {fault['runs']}"
    return [name, fault["cause"], harmed, *shares, _counted(fault["missed_in"]) or "–"]


def _named(figures: Figures, cause: str, known: Sequence[str]) -> list[str]:
    """By every cause that the measured rules knew."""
    rows = [fault for fault in figures["faults"].values() if fault["cause"] == cause]
    return [str(sum(row["causes"][named] for row in rows)) for named in known]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
