"""The section on theory against measurement."""

from collections.abc import Iterator

from proofs.science.pages.markdown import Figures, number, percent, table


def lines(figures: Figures) -> Iterator[str]:
    yield ""
    yield "## Theory against measurement"
    yield ""
    yield f"{figures['asked']} networks at random of every kind (activation × initialisation × norm × skip × depth ×"
    yield f"width), untrained, on real data and loss, mean of {figures['seeds']} seeds. Error: measured over predicted"
    yield "gain per layer (per step, over time) less one, in %; ± half the 95 % interval of the measured mean, in the"
    yield "median. Where theory or measurement has no number, as between layers of different resolution, a spec has no"
    yield "row. Below, the same apart: predictions without a caveat, and with one."
    header = ("kind", "specs", "median", "p90", "largest", "within 5 %", "±", "with a caveat")
    yield from table(header, ([name, *_all(kind)] for name, kind in figures["kinds"].items()))
    apart = ("kind", "specs without", "median", "p90", "largest", "within 5 %")
    both = (*apart, "specs with", *apart[2:])
    split = ([name, *_errors(kind["without"]), *_errors(kind["with"])] for name, kind in figures["kinds"].items())
    yield from table(both, split)
    yield "The ten worst:"
    worst = (
        [f"{row['kind']}, {row['axis']}", row["spec"], *_numbers(row), ", ".join(row["caveats"]) or "none"]
        for row in figures["worst"]
    )
    yield from table(("kind", "spec", "predicted", "measured", "error %", "caveats"), worst)


def _numbers(row: Figures) -> list[str]:
    return [number(row["predicted"], 3), number(row["measured"], 3), percent(row["error"])]


def _errors(specs: Figures) -> list[str]:
    numbers = [percent(specs[key]) for key in ("median", "p90", "largest")]
    return [str(specs["specs"]), *numbers, "–" if specs["within"] is None else f"{specs['within']:.0%}"]


def _all(kind: Figures) -> list[str]:
    return [*_errors(kind), percent(kind["scatter"]), f"{kind['with_caveat']:.0%}"]
