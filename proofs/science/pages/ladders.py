"""The section on ladders: how faint a fault may be and still be seen."""

from collections.abc import Iterator

from proofs.science.alarms import FALSE_ALARMS, HEALTHY, OURS
from proofs.science.families import STEPS
from proofs.science.ladders import MIDDLE
from proofs.science.pages.markdown import Figures, number, table
from proofs.science.published import SETS


def lines(figures: Figures) -> Iterator[str]:
    families, alarms = figures["families"], figures["false_alarms"]
    yield ""
    yield "## Ladders: how faint a fault is still seen"
    yield ""
    yield f"{len(families)} families of faults in {STEPS} steps from blatant (1) to faint ({STEPS}),"
    yield f"{figures['seeds']} seeds, 250 steps, each in a network that is healthy without it"
    yield "(`proofs/science/families.py`). A step **harms** a run that ends below"
    yield f"{HEALTHY:g} in training accuracy (of unbalanced labels its mean over labels; R² of values). *Ours* sees a"
    yield "run where its verdict at the end is not healthy, or shows a number beyond its threshold beside healthy;"
    yield "published rules where they fire at step 10, 50 or the last. A step is seen, or harms, where most of its"
    yield "runs are."
    yield ""
    yield "The weakest step down to which all are seen (–: not the most blatant one; ×: the rules blame more than"
    yield f"{FALSE_ALARMS:g} of the healthy bases):"
    header = ("family", "harms down to", f"**{OURS}**", *SETS)
    yield from table(header, [*_weakest(families, alarms), _blamed(alarms)])
    yield from _diagnosers(figures.get("diagnosers"))
    yield f"A right cause is the first that is named in {_share(figures['first'])} of the harmed runs of the middle"
    yield f"steps ({MIDDLE[0]} to {MIDDLE[-1]}). By step: runs that were harmed / seen by ours / with a right cause"
    yield f"first, of those harmed; {figures['seeds']} runs each unless a base did not train."
    header = ("family", "right causes", "first", *(str(step) for step in range(1, STEPS + 1)))
    yield from table(header, (_steps(name, family) for name, family in families.items()))
    yield "What is named first instead, over all steps (a verdict's kind, where it names no cause):"
    yield ""
    for name, family in families.items():
        yield f"- {name} ({family['steps'][0]['strength']} … {family['steps'][-1]['strength']}): {_named(family)}."


def _weakest(families: Figures, alarms: Figures) -> Iterator[list[str]]:
    for name, family in families.items():
        seen = [_if_careful(alarms[rules], family["weakest_seen"][rules]) for rules in (OURS, *SETS)]
        yield [name, _step(family["weakest_harm"]), *seen]


def _diagnosers(figures: Figures | None) -> Iterator[str]:
    """Packages of 2026, beside the healthy bases that they blame."""
    if figures is None:
        yield "torchmortem, gradsnitch and torch-audit, packages of 2026, were not installed for this measurement."
        yield ""
        return
    alarms = figures["false_alarms"]
    yield "Packages of 2026 on the same training, first seed (`proofs/science/diagnosers.py`): the weakest step seen,"
    yield "and how many of the healthy bases they blame. torchmortem and gradsnitch count twice: by every warning, and"
    yield "by what they call critical or an error alone."
    rows = [[family, *(_step(seen[name]) for name in alarms)] for family, seen in figures["weakest_seen"].items()]
    blamed = ["healthy bases blamed", *(f"{its['count']} of {its['of']}" for its in alarms.values())]
    yield from table(("family", *alarms), [*rows, blamed])


def _if_careful(alarms: Figures, step: int) -> str:
    return _step(step) if (alarms["share"] or 0.0) <= FALSE_ALARMS else "×"


def _step(step: int) -> str:
    return str(step) if step else "–"


def _blamed(alarms: Figures) -> list[str]:
    return ["healthy bases blamed", "", *(f"{alarms[name]['count']} of {alarms[name]['of']}" for name in (OURS, *SETS))]


def _share(counts: Figures) -> str:
    return f"{counts['count']} of {counts['of']} ({number(counts['share'])})"


def _steps(name: str, family: Figures) -> list[str]:
    cells = (f"{step['harmed']}/{step['seen']}/{step['first']}" for step in family["steps"])
    return [name, ", ".join(family["causes"]), number(family["first"]["share"]), *cells]


def _named(family: Figures) -> str:
    named: dict[str, int] = {}
    for step in family["steps"]:
        for cause, count in step["named_first"].items():
            if cause not in family["causes"]:
                named[cause] = named.get(cause, 0) + count
    return ", ".join(f"{cause} {count}" for cause, count in named.items()) or "nothing"
