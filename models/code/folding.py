"""Steps that repeat but for a number in the names of their layers, said once: a deep network stays short to read."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from models.code.formatting import Call, Each, Expression, flat

NUMBERED: Final = re.compile(r'"([A-Za-z_][A-Za-z0-9_-]*)\.(\d+)((?:\.[A-Za-z0-9_-]+)*)"')
"""A name's first number counts."""
MOST_AT_ONCE: Final = 8
"""Steps that repeat together."""
FEWEST: Final = 3
"""Repetitions that are worth a loop."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What an expression says, and the numbers in it."""

    text: str
    numbers: tuple[int, ...]


def folded(expressions: Sequence[Expression]) -> list[Expression]:
    """The same steps, those that repeat as one ``Each``."""
    forms = [_form(its) for its in expressions]
    found: list[Expression] = []
    at = 0
    while at < len(forms):
        period, times, stride = _longest(forms, at)
        if times >= FEWEST:
            first = min(number for form in forms[at : at + period] for number in form.numbers)
            over = f"range({first}, {first + times * stride}" + (f", {stride})" if stride > 1 else ")")
            over = over.replace("range(0, ", "range(") if stride == 1 else over
            bodies = [_counted(its, first) for its in expressions[at : at + period]]
            found.append(Each(bodies, over))
            at += period * times
        else:
            found.append(expressions[at])
            at += 1
    return found


def _form(expression: Expression) -> _Form:
    text = flat(expression)
    return _Form(NUMBERED.sub(r'"\1.#\3"', text), tuple(int(number) for _, number, _ in NUMBERED.findall(text)))


def _longest(forms: Sequence[_Form], at: int) -> tuple[int, int, int]:
    """(steps that repeat together, how often, by what their numbers grow) of what covers most from here on."""
    best = (1, 1, 0)
    for period in range(1, MOST_AT_ONCE + 1):
        first, second = forms[at : at + period], forms[at + period : at + 2 * period]
        stride = next(_growth(first, second), 0)
        if stride < 1 or not _begins_well(first, stride):
            continue
        times = 1
        while _is_next(forms, at, period, times, stride):
            times += 1
        # What is covered by fewer steps at once is shorter to say.
        if period * times > best[0] * best[1]:
            best = (period, times, stride)
    return best


def _begins_well(steps: Sequence[_Form], stride: int) -> bool:
    """Whether a layer comes first, and the others are of the same turn: no activation before its layer."""
    firsts = [min(its.numbers) for its in steps if its.numbers]
    return bool(steps[0].numbers) and max(firsts) - min(firsts) < stride


def _growth(first: Sequence[_Form], second: Sequence[_Form]) -> Iterator[int]:
    for one, other in zip(first, second, strict=False):
        for number, next_number in zip(one.numbers, other.numbers, strict=False):
            yield next_number - number


def _is_next(forms: Sequence[_Form], at: int, period: int, times: int, stride: int) -> bool:
    first, later = forms[at : at + period], forms[at + times * period : at + (times + 1) * period]
    expected = [_Form(its.text, tuple(number + times * stride for number in its.numbers)) for its in first]
    return list(later) == expected


def _counted(expression: Expression, first: int) -> Expression:
    """Its names with ``i`` in the place of their numbers, which begin at ``first``."""
    if isinstance(expression, Each):
        return expression
    if isinstance(expression, Call):
        return Call(expression.head, [_counted(its, first) for its in expression.arguments], expression.split)
    found = NUMBERED.fullmatch(expression)
    if found is None:
        return expression
    name, number, rest = found.groups()
    offset = int(number) - first
    return f'f"{name}.{{i{f" + {offset}" if offset else ""}}}{rest}"'
