"""The full factorial: what each remedy does on average, what they do together, and each alone beside the others.

Effect-coded contrasts within a seed (the seed is the block), t over seeds, Holm over main effects and interactions.
The response is the test metric of every run, trained or not; G at the start where nothing was trained.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from gradient_clinic.gains.depth_axis import total_gain
from gradient_clinic.intervals import Estimate, t_interval
from gradient_clinic.values import Array
from gradient_clinic.verdict.shapes import Measured
from models.analysis.statistics.effects import holm, paired_t_p
from models.analysis.statistics.numbers import Number
from models.analysis.statistics.power import seeds_to_show
from models.plan import Variant
from models.plan.designs import remedy_names
from models.specs.remedy import RemedySpec

WITHIN_SEEDS: Final = "t over seeds, contrast within each"
Cell = tuple[bool, ...]
"""Which remedies are in it, in the spec's order."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Effect(_Answer):
    """One remedy: mean with less mean without. Several: half the difference that the last makes to the others'."""

    remedies: tuple[str, ...]
    effect: Estimate
    p_holm: Number
    seeds_needed: int | None = None
    """To show an effect of this size, where it is not shown."""


class SimpleEffect(_Answer):
    """What ``remedy`` changes where exactly ``given`` are there too."""

    remedy: str
    given: tuple[str, ...]
    effect: Estimate


class Factorial(_Answer):
    response: str
    seeds: int
    """Seeds of which every cell has ended with a finite response; only these count."""
    main_effects: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    simple_effects: tuple[SimpleEffect, ...]
    floor_warning: str | None


def analyse(
    remedies: Sequence[RemedySpec], variants: Sequence[Variant], runs: Mapping[str, Mapping[int, Measured]], metric: str
) -> Factorial:
    """Effects over the cells of ``variants``; ``runs`` by variant name and seed, those that ended."""
    names = remedy_names(remedies)
    cells = {tuple(remedy in variant.remedies for remedy in remedies): variant.name for variant in variants}
    untrained = variants[0].plan.steps == 0
    table = _complete_seeds(cells, runs, untrained=untrained)
    effects = list(_effects(names, table))
    adjusted = holm([paired_t_p(contrast) for _, contrast in effects])
    family = sum(p is not None for p in adjusted)
    estimated = tuple(
        Effect(
            remedies=some,
            effect=t_interval(contrast).estimate(WITHIN_SEEDS),
            p_holm=p,
            seeds_needed=seeds_to_show(contrast, p, family),
        )
        for (some, contrast), p in zip(effects, adjusted, strict=True)
    )
    return Factorial(
        response="total_gain" if untrained else metric,
        seeds=len(next(iter(table.values()))),
        main_effects=tuple(effect for effect in estimated if len(effect.remedies) == 1),
        interactions=tuple(effect for effect in estimated if len(effect.remedies) > 1),
        simple_effects=tuple(_simple_effects(names, table)),
        floor_warning=None if untrained else _floor_warning(cells, runs),
    )


def _complete_seeds(
    cells: Mapping[Cell, str], runs: Mapping[str, Mapping[int, Measured]], *, untrained: bool
) -> dict[Cell, Array]:
    """The response per cell, over the seeds that have it in all cells, in one order."""

    def response(name: str, seed: int) -> float:
        run = runs.get(name, {}).get(seed)
        if run is None:
            return float("nan")
        return total_gain(run.start) if untrained else run.facts.test_metric

    seeds = sorted({seed for by_seed in runs.values() for seed in by_seed})
    values = np.array([[response(name, seed) for seed in seeds] for name in cells.values()]).reshape(len(cells), -1)
    # A seed without one of the cells would put into a contrast what tells seeds apart.
    complete = values[:, np.isfinite(values).all(axis=0)]
    return dict(zip(cells, complete, strict=True))


def _effects(names: Sequence[str], table: Mapping[Cell, Array]) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    """Per set of remedies its contrast in every seed: Σ over cells of y·Π ±1, over half the cells."""
    for size in range(1, len(names) + 1):
        for some in itertools.combinations(range(len(names)), size):
            signed = [np.prod([1.0 if cell[i] else -1.0 for i in some]) * y for cell, y in table.items()]
            contrast = np.sum(signed, axis=0) / (len(table) / 2)
            yield tuple(names[i] for i in some), contrast.tolist()


def _simple_effects(names: Sequence[str], table: Mapping[Cell, Array]) -> Iterator[SimpleEffect]:
    for i, name in enumerate(names):
        for cell, without in table.items():
            if cell[i]:
                continue
            with_it = table[(*cell[:i], True, *cell[i + 1 :])]
            given = tuple(other for other, there in zip(names, cell, strict=True) if there)
            # An interval and no p: these are read where main effects mislead, and belong to no family of tests.
            effect = t_interval(with_it - without).estimate(WITHIN_SEEDS)
            yield SimpleEffect(remedy=name, given=given, effect=effect)


def _floor_warning(cells: Mapping[Cell, str], runs: Mapping[str, Mapping[int, Measured]]) -> str | None:
    """Cells without one success sit on a floor, where no remedy can be seen to help or harm."""
    ended = [name for name in cells.values() if runs.get(name)]
    floor = [name for name in ended if not any(run.success for run in runs[name].values())]
    if not floor:
        return None
    return (
        f"no run trains in {len(floor)} of {len(cells)} cells ({', '.join(floor)}): main effects and interactions "
        "average over this floor; read the simple effects of the other cells"
    )
