"""The section on intervals: how often they hold the truth."""

from collections.abc import Iterator, Sequence

from science.coverage import SIZES
from science.pages.markdown import Figures, percent, table


def lines(figures: Figures) -> Iterator[str]:
    sizes = [f"n = {n}" for n in SIZES]
    yield ""
    yield "## Intervals: how often they hold the truth"
    yield ""
    yield f"Nominal 95 %, {figures['repetitions']:,} repetitions a cell. *t* is what the service gives for a variant's"
    yield "G, metric and loss over seeds, for paired differences, ln ratios of step times and a factorial's effects."
    means = {(row["interval"], row["population"]): None for row in figures["means"]}
    rows = (
        [f"{interval}: {name}", *_over_n(figures["means"], interval=interval, population=name)]
        for interval, name in means
    )
    yield from table(("mean of", *sizes), rows)
    yield "The difference of two arms under the same seeds (half of a normal arm's variance is the seed's):"
    names = dict.fromkeys(row["population"] for row in figures["paired"])
    yield from table(("paired t", *sizes), ([name, *_over_n(figures["paired"], population=name)] for name in names))
    yield "All layers at once: r down a network as a random walk with such increments, each layer's interval at"
    yield "1 − .05/(layers − 1)."
    walks = dict.fromkeys((row["population"], row["layers"]) for row in figures["layers"])
    yield from table(
        ("increments", *sizes),
        (
            [f"{name}, {layers} layers", *_over_n(figures["layers"], population=name, layers=layers)]
            for name, layers in walks
        ),
    )
    yield "G of real untrained He-ReLU networks, 30 layers of 64: from one run's own increments, and over five seeds."
    rows = (
        [f"batch {row['batch']}", f"{row['nets']:,}", percent(row["one run"]), percent(row["five seeds"])]
        for row in figures["increments"]
    )
    yield from table(("", "networks", "t over increments", "t over 5 seeds"), rows)
    yield "Counted exactly, over all probabilities (Clopper-Pearson), and over rates from .05 to .95 with correlations"
    yield "of 0 and .5 (Newcombe's interval of a paired difference of successes):"
    exact = {row["n"]: row for row in figures["exact"]}
    pairs = {row["n"]: row for row in figures["success_difference"]}
    yield from table(
        ("coverage %", *sizes),
        (
            ["Clopper-Pearson, least", *(percent(exact[n]["least"]) for n in SIZES)],
            ["Newcombe, mean", *(percent(pairs[n]["mean"]) for n in SIZES)],
            ["Newcombe, least", *(percent(pairs[n]["least"]) for n in SIZES)],
        ),
    )
    yield "Hedges' g is given without an interval, so there is none to hold. A t-interval of two or three bimodal runs"
    yield "holds the mean about as often as a coin: that is why successes are counted first."


def _over_n(rows: Sequence[Figures], **fixed: object) -> list[str]:
    chosen = {row["n"]: row for row in rows if all(row[key] == value for key, value in fixed.items())}
    return [percent(chosen[n]["coverage"]) for n in SIZES]
