"""The Verdict of a variant over its seeds, from its runs' summaries."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

import numpy as np

from gradient_clinic.gains.depth_axis import GradientFacts, TimeFacts, gradient_of_seeds
from gradient_clinic.gains.time_axis import time_of_seeds, with_time
from gradient_clinic.intervals import t_interval
from gradient_clinic.verdict.facts.fact import START, Fact
from gradient_clinic.verdict.facts.of_gains import AT_END, AT_START, against_cut
from gradient_clinic.verdict.judge import in_words
from gradient_clinic.verdict.shapes import (
    CAUSES,
    Answer,
    Cause,
    Evidence,
    Findings,
    Near,
    Outcome,
    RunSummary,
    TimeLevels,
    Verdict,
)

WELL: Final = frozenset({"healthy", "inconclusive"})
SHARE: Final = 0.8
"""A variant has the value that at least this share of its seeds have."""

Name = TypeVar("Name", bound=str)


def variant_verdict(summaries: Sequence[RunSummary]) -> Verdict:
    """One verdict for all seeds that ended; with one seed the run's own. ValueError for none."""
    if not summaries:
        message = "a verdict needs at least one run that ended"
        raise ValueError(message)
    if len(summaries) == 1:
        return summaries[0].verdict
    at_start, at_end = gradients(summaries)
    verdicts = [run.verdict for run in summaries]
    seeds = Counter(run.kind for run in verdicts)
    outcome = outcome_of_seeds([run.outcome for run in verdicts])
    # Answers of runs that fare as the variant does: a healthy seed's would improve what is ill elsewhere.
    named = [run for run in verdicts if (run.kind in WELL) == (outcome.kind in WELL)]
    found = Findings(
        kind=outcome.kind,
        at_start=at_start,
        at_end=at_end,
        trained=outcome.trained,
        causes=outcome.causes,
        conditions=summaries[0].facts.conditions,
        evidence=tuple(_evidence(summaries, at_start, at_end)),
        answers=_shared_answers(named),
        seeds={str(value): count for value, count in seeds.items()},
        near=_near(verdicts),
        rests_on="layers" if any(run.has_layers for run in summaries) else "loss",
    )
    return in_words(found)


def outcome_of_seeds(runs: Sequence[Outcome]) -> Outcome:
    """What most runs say; causes that at least half of those have which are in trouble, or well, as the variant is."""
    kind = _shared(Counter(run.kind for run in runs))
    trained = Counter(run.trained for run in runs if run.trained is not None)
    alike = [run for run in runs if (run.kind in WELL) == (kind in WELL)]
    causes = _shared_causes(alike)
    return Outcome(kind=kind, trained=_shared(trained) if trained else None, causes=causes)


def _shared(counts: Mapping[Name, int]) -> Name | Literal["mixed"]:
    """The value of at least 80 % of the seeds, else ``mixed``."""
    value = max(counts, key=lambda key: counts[key])
    return value if counts[value] >= SHARE * sum(counts.values()) else "mixed"


def gradients(summaries: Sequence[RunSummary]) -> tuple[GradientFacts, GradientFacts | None]:
    """(at_start, at_end) over the seeds that have layers; at_end null where nothing was trained."""
    summaries = _with_layers(summaries)
    first = summaries[0]
    batch_norm, resized, cut = first.batch_norm, first.resized, first.depth_cut
    ends = [run.end for run in summaries if run.end is not None]
    at_start = with_time(
        gradient_of_seeds([run.start for run in summaries], batch_norm=batch_norm, resized=resized, cut=cut),
        _times([[(its, its.start) for its in run.recurrent] for run in summaries]),
    )
    if not ends:
        return at_start, None
    at_end = gradient_of_seeds(ends, batch_norm=batch_norm, resized=resized, cut=cut)
    trained = [[(its, its.end) for its in run.recurrent if its.end is not None] for run in summaries]
    return at_start, with_time(at_end, _times([its for its in trained if its]))


def _with_layers(summaries: Sequence[RunSummary]) -> Sequence[RunSummary]:
    """Those of which gradients are known; all where of none."""
    return [run for run in summaries if run.has_layers] or summaries


def _times(runs: Sequence[Sequence[tuple[TimeLevels, tuple[float, ...]]]]) -> list[TimeFacts]:
    """The facts of every recurrent layer over the runs that have measured it."""
    layers = [its for its, _ in runs[0]] if runs else []
    return [time_of_seeds(its.layer, [run[index][1] for run in runs], its.steps) for index, its in enumerate(layers)]


def _shared_causes(runs: Sequence[Outcome]) -> tuple[Cause, ...]:
    counts = Counter(cause for run in runs for cause in run.causes)
    return tuple(cause for cause in CAUSES if 2 * counts[cause] >= len(runs) > 0)


def _shared_answers(verdicts: Sequence[Verdict]) -> tuple[Answer, ...]:
    """As causes; theory speaks of the variant, so an answer's words are the same in every seed that has it."""
    answers = [answer for verdict in verdicts for answer in verdict.answers]
    counts = Counter(answer.remedy for answer in answers)
    first: dict[str, Answer] = {}
    for answer in answers:
        first.setdefault(answer.remedy, answer)
    return tuple(answer for remedy, answer in first.items() if 2 * counts[remedy] >= len(verdicts))


def _evidence(
    summaries: Sequence[RunSummary], at_start: GradientFacts, at_end: GradientFacts | None
) -> Iterator[Evidence]:
    """The gains over seeds, then the runs' other evidence, that of one kind taken together."""
    seen = _with_layers(summaries)
    model = seen[0]
    spans = [run.end_steps for run in seen if run.end_steps is not None]
    if at_start.judged:
        yield _gain(AT_START, model, at_start, START)
    if at_end is not None and at_end.judged and spans:
        yield _gain(AT_END, model, at_end, _span(spans))
    others: dict[tuple[str, str], list[Evidence]] = {}
    for run in summaries:
        for item in run.verdict.evidence:
            # That gain stands above already, over all seeds and with their interval.
            if item.statistic != AT_START.name:
                others.setdefault((item.signal, item.statistic), []).append(item)
    yield from (_together(items) for items in others.values())


def _gain(fact: Fact, model: RunSummary, gradients: GradientFacts, steps: tuple[int, int]) -> Evidence:
    gain = gradients.total_gain
    return fact.shown_by(against_cut(model, gain.mean, steps), gain.n)


def _together(items: Sequence[Evidence]) -> Evidence:
    """Means over the seeds that have it; all layers and steps that any of them names."""
    spans = [item.steps for item in items if item.steps is not None]
    return Evidence(
        signal=items[0].signal,
        layers=tuple(dict.fromkeys(layer for item in items for layer in item.layers)),
        steps=_span(spans) if spans else None,
        statistic=items[0].statistic,
        value=_mean(item.value for item in items),
        threshold=_mean(item.threshold for item in items),
        margin=_mean(item.margin for item in items),
        seeds=len(items),
    )


def _span(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return min(first for first, _ in spans), max(last for _, last in spans)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return t_interval(known).mean if known else None


# --- where it hangs on rounding -------------------------------------------------------------------------------------


def _near(verdicts: Sequence[Verdict]) -> tuple[Near, ...]:
    """What a variant's verdict hangs on: its runs near by one rule, if it says something else once they have crossed;
    or where the rules only together do, all of them.
    """
    by_rule: dict[tuple[str, str], dict[int, Near]] = defaultdict(dict)
    for run, verdict in enumerate(verdicts):
        for near in verdict.near:
            by_rule[near.rule, near.statistic].setdefault(run, near)
    own = outcome_of_seeds([verdict.outcome for verdict in verdicts])
    found = tuple(near for runs in by_rule.values() for near in _joined(verdicts, runs, own))
    if found:
        return found
    together = {run: verdict.near[0] for run, verdict in enumerate(verdicts) if verdict.near}
    if _crossed(verdicts, together) == own:
        return ()
    return tuple(near for runs in by_rule.values() for near in _near_means(runs.values(), None))


def _joined(verdicts: Sequence[Verdict], runs: dict[int, Near], own: Outcome) -> tuple[Near, ...]:
    if any(near.would_be is None for near in runs.values()):
        # They may be anything, so the verdict hangs on them as soon as the others are too few to carry it.
        hangs, would_be = len(verdicts) - len(runs) < SHARE * len(verdicts), None
    else:
        would_be = _crossed(verdicts, runs)
        hangs = would_be != own
    return _near_means(runs.values(), would_be) if hangs else ()


def _crossed(verdicts: Sequence[Verdict], runs: dict[int, Near]) -> Outcome:
    said = [verdict.outcome for verdict in verdicts]
    return outcome_of_seeds(
        [near.would_be or said[run] if (near := runs.get(run)) else said[run] for run in range(len(said))]
    )


def _near_means(items: Iterable[Near], would_be: Outcome | None) -> tuple[Near, ...]:
    """One of each number and limit: a mean of lower and upper ends would lie near neither's limit."""
    alike: dict[tuple[object, object], list[Near]] = defaultdict(list)
    for item in items:
        alike[item.bound, None if item.bound is None else item.threshold].append(item)
    return tuple(_near_mean(those, would_be) for those in alike.values())


def _near_mean(items: Sequence[Near], would_be: Outcome | None) -> Near:
    """Means over the runs, none where a run has no number; all layers that any of them names."""
    columns = zip(*((item.value, item.threshold, item.distance) for item in items), strict=True)
    value, threshold, distance = (float(np.mean(np.array(column, dtype=np.float64))) for column in columns)
    return Near(
        rule=items[0].rule,
        layers=tuple(dict.fromkeys(layer for item in items for layer in item.layers)),
        statistic=items[0].statistic,
        value=value,
        threshold=threshold,
        distance=distance,
        would_be=would_be,
        seeds=len(items),
        bound=items[0].bound,
    )
