"""What is trained, by architecture: every configuration that the early alarm's thresholds were chosen on, and one part
that is held out; and the two draws of networks that advice is counted and judged on.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from proofs.science.cases import cnn, mlp, rates, recurrent, residual, transformer
from proofs.science.cases.case import Case, Part
from proofs.science.cases.random import (
    ADVICE_DRAW,
    FIFTH_DRAW,
    FIRST_ADVICE_DRAW,
    FIRST_DRAW,
    FOURTH_DRAW,
    RECORD_DRAW,
    SECOND_ADVICE_DRAW,
    SECOND_DRAW,
    SEVENTH_DRAW,
    SIXTH_DRAW,
    THIRD_ADVICE_DRAW,
    THIRD_DRAW,
    any_cases,
    random_cases,
)

HELD_OUT_ONCE: Final[Mapping[str, tuple[Callable[[], Iterator[Case]], ...]]] = {
    "early-1": (
        mlp.common_activations,
        mlp.layer_norms,
        residual.skips,
        cnn.plain_and_residual,
        recurrent.cells,
        transformer.norm_positions,
        rates.beyond_bearing,
    ),
    "early-2": (
        mlp.rare_activations,
        mlp.norms_and_highways,
        residual.norms,
        cnn.average_pools,
        cnn.then_linear,
        recurrent.stacks,
        transformer.inits,
        rates.times_100_and_a_thousandth,
    ),
    "early-3": (
        mlp.bounded_activations,
        mlp.varying_widths,
        mlp.weight_rules,
        mlp.dropout,
        residual.single_layers,
        cnn.kernels,
        residual.blocks_then_layers,
        recurrent.unbounded_cells,
        transformer.skips,
        rates.times_30_and_less,
    ),
}
"""By version of the early alarm that was measured on them before the next one was chosen on them too. The order counts:
the quick scale trains every seventh case of all that were chosen on, and the page lists mistakes in it."""


DRAWN: Final = 150
"""Of each draw for advice; about 40 of them fail to train."""


def cases() -> list[Case]:
    chosen_on = [*mlp.grid(), *(case for lists in HELD_OUT_ONCE.values() for cases_of in lists for case in cases_of())]
    chosen_on += random_cases(chosen_on, FIRST_DRAW, "beside")
    return [*chosen_on, *random_cases(chosen_on, SECOND_DRAW, "unseen")]


def newest() -> list[Case]:
    """Of architectures that none of ``cases`` has, nor the draws before it."""
    known = cases()
    for draw in (THIRD_DRAW, FOURTH_DRAW, FIFTH_DRAW, SIXTH_DRAW):
        known += random_cases(known, draw, "unseen")
    return list(random_cases(known, SEVENTH_DRAW, "unseen"))


def advised() -> dict[Part, list[Case]]:
    """By part: "beside" for the record that the product tells, "unseen" for judging advice."""
    known = cases()
    counted = list(islice(any_cases(known, RECORD_DRAW, "beside"), DRAWN))
    judged_once = list(counted)
    for draw in (FIRST_ADVICE_DRAW, SECOND_ADVICE_DRAW, THIRD_ADVICE_DRAW):
        judged_once += islice(any_cases([*known, *judged_once], draw, "unseen"), DRAWN)
    judged = list(islice(any_cases([*known, *judged_once], ADVICE_DRAW, "unseen"), DRAWN))
    return {"beside": counted, "unseen": judged}
