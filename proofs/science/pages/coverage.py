"""The section on intervals: how often they hold the truth."""

from collections.abc import Iterator, Sequence

from proofs.science.coverage import GIVEN, SIZES
from proofs.science.coverage_over_seeds import EFFECT_SIZES, SERVICE_SIZES
from proofs.science.pages.markdown import Figures, percent, table


def lines(figures: Figures) -> Iterator[str]:
    yield ""
    yield "## Intervals: how often they hold the truth"
    yield ""
    yield f"Nominal 95 %, {figures['repetitions']:,} repetitions a cell where nothing else is said. What an answer"
    yield "gives with an interval, and where it is in these tables:"
    yield from table(("field", "interval"), ([f"`{field}`", interval] for field, interval in GIVEN.items()))
    yield from _students(figures)
    yield from _over_seeds(figures["service"])
    yield from _effect_sizes(figures["effect_sizes"])
    yield "Networks that are drawn and not trained: from one run's own increments, and over five seeds. The truth is"
    yield "the mean over all of them."
    rows = (
        [row["gain"], f"{row['nets']:,}", percent(row["one run"]), percent(row["five seeds"])]
        for row in figures["gains"]
    )
    yield from table(("", "networks", "t over increments", "t over 5 seeds"), rows)
    yield from _counted(figures)
    yield "A t-interval of two or three bimodal runs holds the mean about as often as a coin: that is why successes are"
    yield "counted first."


def _students(figures: Figures) -> Iterator[str]:
    sizes = [f"n = {n}" for n in SIZES]
    yield "*t*, of a mean:"
    names = dict.fromkeys(row["population"] for row in figures["means"])
    yield from table(("t", *sizes), ([name, *_over_n(figures["means"], SIZES, population=name)] for name in names))
    yield "The difference of two arms under the same seeds (half of a normal arm's variance is the seed's):"
    names = dict.fromkeys(row["population"] for row in figures["paired"])
    rows = ([name, *_over_n(figures["paired"], SIZES, population=name)] for name in names)
    yield from table(("paired t", *sizes), rows)
    yield "All layers at once: r down a network as a random walk with such increments, each layer's interval at"
    yield "1 − .05/(layers − 1)."
    walks = dict.fromkeys((row["population"], row["layers"]) for row in figures["layers"])
    rows = (
        [f"{name}, {layers} layers", *_over_n(figures["layers"], SIZES, population=name, layers=layers)]
        for name, layers in walks
    )
    yield from table(("increments", *sizes), rows)


def _over_seeds(rows: Sequence[Figures]) -> Iterator[str]:
    samples, error = min(row["samples"] for row in rows), max(row["error"] for row in rows)
    yield "What the service gives over seeds, by the method that it takes for those very figures: t below 20, from 20"
    yield "on BCa or, where tails are heavy, BCa of the middle half, held against the population's own interquartile"
    yield f"mean. At least {samples:,} samples a cell, a Monte-Carlo error of at most {percent(error)} points. Beside"
    yield "it plain t on the same samples."
    names = dict.fromkeys(row["population"] for row in rows)
    cells = (
        [f"{name}: {what}", *_over_n(rows, SERVICE_SIZES, key, population=name)]
        for name in names
        for what, key in (("service", "coverage"), ("plain t", "t"))
    )
    yield from table(("over seeds", *(f"n = {n}" for n in SERVICE_SIZES)), cells)
    yield "How often each method is taken, and what it then covers:"
    shown = (
        [name, str(row["n"]), method, percent(share), percent(row["coverage_by_method"][method])]
        for name in names
        for row in rows
        if row["population"] == name
        for method, share in row["share"].items()
    )
    yield from table(("values", "n", "method", "taken %", "holds %"), shown)


def _effect_sizes(rows: Sequence[Figures]) -> Iterator[str]:
    yield "Hedges' g of paired differences, its interval from the noncentral t. It is exact for normal differences and"
    yield "for no others; it is of the mean, also where the interquartile mean is reported."
    names = dict.fromkeys(row["population"] for row in rows)
    cells = ([name, *_over_n(rows, EFFECT_SIZES, population=name)] for name in names)
    yield from table(("Hedges' g", *(f"n = {n}" for n in EFFECT_SIZES)), cells)


def _counted(figures: Figures) -> Iterator[str]:
    yield "Counted exactly, over all probabilities (Clopper-Pearson), and over rates from .05 to .95 with correlations"
    yield "of 0 and .5 (Newcombe's interval of a paired difference of successes):"
    exact = {row["n"]: row for row in figures["exact"]}
    pairs = {row["n"]: row for row in figures["success_difference"]}
    rows = (
        ["Clopper-Pearson, least", *(percent(exact[n]["least"]) for n in SIZES)],
        ["Newcombe, mean", *(percent(pairs[n]["mean"]) for n in SIZES)],
        ["Newcombe, least", *(percent(pairs[n]["least"]) for n in SIZES)],
    )
    yield from table(("coverage %", *(f"n = {n}" for n in SIZES)), rows)


def _over_n(rows: Sequence[Figures], sizes: Sequence[int], key: str = "coverage", **fixed: object) -> list[str]:
    chosen = {row["n"]: row for row in rows if all(row[name] == value for name, value in fixed.items())}
    return [percent(chosen[n][key]) for n in sizes]
