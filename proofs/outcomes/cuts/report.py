"""The outcomes as Markdown: what trained in which band of G, and how well the cut separates."""

from collections.abc import Iterator, Sequence

from proofs.outcomes.cuts.outcomes import Outcome
from proofs.outcomes.cuts.separation import Side, bands, best_cuts, on_side, separation


def table(outcomes: Sequence[Outcome], seed: int) -> str:
    """Two tables, a row per group (and side)."""
    groups = list(dict.fromkeys(outcome.group for outcome in outcomes))
    rows = {group: [outcome for outcome in outcomes if outcome.group == group] for group in groups}
    return "\n".join([*_bands(rows), "", *_separations(rows, seed)])


def _bands(rows: dict[str, list[Outcome]]) -> Iterator[str]:
    yield "| trained / networks | G < −6 | −6 … −3 | −3 … 3 | 3 … 6 | > 6 |"
    yield "|---|---|---|---|---|---|"
    for group, outcomes in rows.items():
        cells = [f"{trained}/{of}" if of else "–" for trained, of in bands(outcomes)]
        yield f"| {group} | {' | '.join(cells)} |"


def _separations(rows: dict[str, list[Outcome]], seed: int) -> Iterator[str]:
    yield "| side | failed: beyond 3 | trained: inside | Fisher p | balanced accuracy of 3 (≥ 95 %) | best cut (95 %) |"
    yield "|---|---|---|---|---|---|"
    sides: tuple[Side, Side] = ("vanishing", "exploding")
    for group, outcomes in rows.items():
        for side in sides:
            yield f"| {group}: {side} | {_separation(on_side(outcomes, side), side, seed)} |"


def _separation(outcomes: Sequence[Outcome], side: Side, seed: int) -> str:
    found = separation(outcomes, side)
    accuracy, best = found.accuracy, best_cuts(outcomes, side, seed)
    rates = f"{found.caught}/{found.failed} | {found.spared}/{found.trained} | {found.p_value:.2g}"
    said = "–" if accuracy is None else "{:.2f} ({:.2f} to {:.2f})".format(*accuracy)
    return f"{rates} | {said} | {'–' if best is None else '{:g} ({:g} to {:g})'.format(*best)}"
