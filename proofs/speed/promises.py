"""What the clinic promises of its speed, and what the last run of each benchmark measured: one line per promise.

A figure that does not hold stands here as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from proofs import promise
from proofs.promise import Promise
from proofs.speed import report
from proofs.speed.matrix import GOOD, USUAL, USUAL_ONE
from proofs.speed.probe import MLPS, OURS, RECURRENT, WIDTHS
from proofs.speed.scale import APART, TOGETHER

Figures = Mapping[str, Any]


def most(what: str, limit: float, measured: float, unit: str) -> Promise:
    """A promise to stay at or below a figure."""
    return Promise(what, f"≤ {limit:,g}{unit}", f"{measured:,.4g}{unit}", measured <= limit)


def least(what: str, limit: float, measured: float, unit: str) -> Promise:
    return Promise(what, f"≥ {limit:,.0f}{unit}", f"{measured:,.0f}{unit}", measured >= limit)


def known(what: str, measured: str) -> Promise:
    return Promise(what, "", measured)


def of_probe(figures: Figures) -> Iterator[Promise]:
    for width, promised, aim in zip(WIDTHS, (1.5, 1.25), (1.25, 1.10), strict=True):
        ratios = [
            figures[name]["arms"][OURS]["ratio"] for name in MLPS if name.endswith(f"× {width}") and name in figures
        ]
        if ratios:
            worst = max(ratios)
            yield most(f"recorded step, width {width}, worst depth", promised, worst, "×")
            yield most(f"recorded step, width {width}, the aim", aim, worst, "×")
    for name in RECURRENT:
        if name in figures:
            yield most(f"recorded step, {name}", 1.25, figures[name]["arms"][OURS]["ratio"], "×")


def of_store(figures: Figures) -> Iterator[Promise]:
    yield least("writing through the TraceWriter", 1_000_000, figures["writer"]["values_per_second"], " values/s")
    yield least("writing through the Recorder", 1_000_000, figures["recorder"]["values_per_second"], " values/s")
    yield most("size in sealed chunks", 5.5, figures["writer"]["bytes_per_value"], " bytes/value")
    yield most("a write again, over the first", 2.0, figures["replay"]["ratio"], "×")
    if figures["mlflow"] is not None:
        over = figures["writer"]["values_per_second"] / figures["mlflow"]["values_per_second"]
        yield known("writing, TraceWriter (no HTTP) over MLflow's server", f"{over:,.0f}×")


def of_reads(figures: Figures) -> Iterator[Promise]:
    answers = figures["clinic"]
    yield least("trace values stored meanwhile", 75_000_000, figures["stored"]["trace_values"], "")
    yield least("experiments stored meanwhile", 12_500, figures["stored"]["experiments"], "")
    for name, limit in READ_LIMITS.items():
        yield most(f"{name}, p95", limit, answers[name]["p95"], " ms")
    if figures["mlflow"] is not None:
        peers = figures["mlflow"]
        over = peers["50 histories, bulk-interval"]["p50"] / peers["our heat map of as many steps"]["p50"]
        yield known("50 histories, MLflow's thinned bulk call over our heat map", f"{over:,.0f}×")


READ_LIMITS = {
    "one signal, one layer": 100.0,
    "heat map, 50 layers": 100.0,
    "heat map, 50 layers, a tenth": 100.0,
    "stored comparison, 200 runs × 50 layers": 500.0,
    "list page": 100.0,
    "list page, the 20th": 100.0,
    "list page, by label": 100.0,
}


def of_matrix(figures: Figures) -> Iterator[Promise]:
    ratios = {name: script["service_over"] for name, script in figures["matrix"].items()}
    alone = figures["matrix"][GOOD]["alone_over"]
    yield most("the matrix over a good plain script", 0.7, ratios[GOOD], "×")
    yield most("the matrix over a good plain script, every run alone", 1.15, alone, "×")
    # The usual script's threads are a matter of its machine: the faster of the two is what counts.
    yield most("the matrix over the usual script, the faster one", 0.6, max(ratios[USUAL], ratios[USUAL_ONE]), "×")
    yield most("submission to the end of a one-step run, p95", 150.0, figures["start"]["ended_ms"]["p95"], " ms")


def of_memory(figures: Figures) -> Iterator[Promise]:
    held = ", ".join(f"{megabytes:.0f}" for megabytes in figures["mb_at"].values())
    yield known("a worker's memory at 10, 50, 100 % of a long run", f"{held} MB")
    yield known("its slope per 100,000 recorded steps", f"{figures['mb_per_100000_steps']:.1f} MB")


def of_lost(figures: Figures) -> Iterator[Promise]:
    kept, restarted = figures["with checkpoints"], figures["without"]
    worst, what = kept["lost_s"]["most"], "device time that a killed child costs, the worst"
    yield Promise(what, f"≤ {kept['bound_s']:.1f} s", f"{worst:.1f} s", worst <= kept["bound_s"])
    yield known("the same on average, without checkpoints", f"{restarted['lost_s']['mean']:.1f} s")
    yield known("from the kill to the next attempt, on average", f"{kept['away_s']['mean']:.1f} s")


def of_rest(figures: Figures) -> Iterator[Promise]:
    yield most("the API's memory after thousands of requests", 350.0, figures["mb_at_last"], " MB")
    yield most("its growth per 1,000 requests", 10.0, figures["mb_per_1000_requests"], " MB")


def of_cost(figures: Figures) -> Iterator[Promise]:
    share = 100.0 * figures["within"]["all"]
    yield least("estimates within ±25 %, of runs of all kinds", 90, share, " %")


def of_views(figures: Figures) -> Iterator[Promise]:
    views = figures["views"]
    yield most("first view of the dashboard's list, p95", 1_000.0, views["list"]["ms"]["p95"], " ms")
    answer = views["experiment"]["ms"]["p95"]
    yield known("the answer of an experiment of 200 runs × 100 layers, p95", f"{answer:,.0f} ms")
    yield known("its pictures all drawn, p95", f"{views['experiment, all drawn']['ms']['p95']:,.0f} ms")
    yield known("the longest task of the first view, p95", f"{views['list']['long']['p95']:,.0f} ms")
    yield most("a heat map of 100 × 2,000 painted anew, p95", 50.0, figures["repaint_ms"]["p95"], " ms")
    yield most("all scripts of the dashboard, packed", 120.0, figures["script_kb"], " kB")


def of_notify(figures: Figures) -> Iterator[Promise]:
    for disk, by_writers in figures.items():
        for writers, found in by_writers.items():
            yield known(f"flushes told apart over notified ones, {writers} writers, {disk}", f"{found['ratio']:.2f}×")


def of_desk(figures: Figures) -> Iterator[Promise]:
    for how, found in figures.items():
        yield most(f"reads by many clients beside training, {how}, p95", 100.0, found["reads"]["p95"], " ms")
        yield most(f"submissions by them, {how}, p95", 200.0, found["submissions"]["p95"], " ms")
        yield most(f"of them refused or failed, {how}", 0.0, found["refused_or_failed"], "")


def of_ingest(figures: Figures) -> Iterator[Promise]:
    for rate, found in figures.items():
        what = f"a call of fifty watched trainings, {rate} together, p95"
        p95 = found["call_ms"]["p95"]
        # The lower rate is promised; the higher one shows what is left beyond it.
        yield most(what, 100.0, p95, " ms") if rate.startswith("10,000") else known(what, f"{p95:,.4g} ms")
        yield most(f"calls of them that failed, {rate}", 0.0, found["failed"], "")


def of_scale(figures: Figures) -> Iterator[Promise]:
    alone = f"tiny runs of {figures['run_alone_s']:.2f} s"
    ways = [(way, *its) for way in (TOGETHER, APART) for its in figures.get(way, {}).items()]
    for way, workers, found in ways:
        what = f"{found['runs']:,} {alone}, trained {way}, over that training, workers: {workers}"
        over = 100.0 * found["overhead"]
        # More workers than cores only share them.
        yield most(what, 15.0, over, " %") if int(workers) <= figures["cores"] else known(what, f"{over:.4g} %")
        yield known(f"the list meanwhile, p95, trained {way}, workers: {workers}", f"{found['list_ms']['p95']:,.0f} ms")


def of_fixed(figures: Figures) -> Iterator[Promise]:
    yield most(
        "a run beside its steps, from the claim to the stored verdict, p50", 60.0, figures["run_ms"]["p50"], " ms"
    )
    yield known("of that its own thread's processor time", f"{figures['cpu_ms']['p50']:.3g} ms")


BENCHMARKS: dict[str, Callable[[Figures], Iterator[Promise]]] = {
    "probe": of_probe,
    "store": of_store,
    "reads": of_reads,
    "matrix": of_matrix,
    "memory": of_memory,
    "rest": of_rest,
    "lost": of_lost,
    "cost": of_cost,
    "views": of_views,
    "notify": of_notify,
    "desk": of_desk,
    "ingest": of_ingest,
    "scale": of_scale,
    "fixed": of_fixed,
}


def show() -> None:
    """Of every benchmark whose results are there."""
    loaded = {name: report.load(name) for name in BENCHMARKS}
    lines = (line for name, figures in loaded.items() if figures is not None for line in BENCHMARKS[name](figures))
    promise.show("Promises of speed (docs/benchmarks.md says what each figure means)", lines)
