"""Expressions as text in the one format: calls on one line where they fit, else an argument a line."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 120
INDENT: Final = "    "
INSIDE: Final = WIDTH - len(INDENT)
"""The columns of a line inside a function."""


def escaped(text: str) -> str:
    """The text as it stands between double quotes or in a docstring, which it cannot end. What is not seen, as marks
    that turn the direction of writing, is said by its number.
    """
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in {"\\", '"'}:
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def quoted(text: str) -> str:
    return f'"{escaped(text)}"'


@dataclass(frozen=True, slots=True)
class Call:
    """``head(first, …)``; ``split``: an argument a line wherever it would fit."""

    head: str
    arguments: Sequence["Expression"]
    split: bool = False

    def flat(self) -> str:
        return f"{self.head}({', '.join(flat(its) for its in self.arguments)})"

    def is_split(self) -> bool:
        return self.split or any(not isinstance(its, str) and its.is_split() for its in self.arguments)


@dataclass(frozen=True, slots=True)
class Each:
    """The steps ``bodies``, unpacked for each ``i`` of ``over``."""

    bodies: Sequence["Expression"]
    over: str

    def flat(self) -> str:
        steps = ", ".join(map(flat, self.bodies))
        if len(self.bodies) == 1:
            return f"*({steps} for i in {self.over})"
        return f"*(step for i in {self.over} for step in ({steps}))"

    def is_split(self) -> bool:
        return len(self.bodies) > 1 or any(not isinstance(its, str) and its.is_split() for its in self.bodies)


Expression = str | Call | Each


def flat(expression: Expression) -> str:
    return expression if isinstance(expression, str) else expression.flat()


def call(head: str, *arguments: Expression, **named: object) -> Call:
    """Named arguments are literals; None is left out."""
    keywords = [f"{name}={value!r}" for name, value in named.items() if value is not None]
    return Call(head, [*arguments, *keywords])


def lines(expression: Expression, before: str = "", after: str = "", room: int = WIDTH) -> Iterator[str]:
    """Its lines, ``before`` in front of the first and ``after`` behind the last, each within so many columns."""
    whole = f"{before}{flat(expression)}{after}"
    if isinstance(expression, str) or (not expression.is_split() and len(whole) <= room):
        yield whole
        return
    inside = room - len(INDENT)
    if isinstance(expression, Call):
        yield f"{before}{expression.head}("
        for argument in expression.arguments:
            yield from _indented(lines(argument, after=",", room=inside))
        yield f"){after}"
        return
    yield f"{before}*("
    yield from _indented(_repeated(expression, inside))
    yield f"){after}"


def _repeated(each: Each, room: int) -> Iterator[str]:
    if len(each.bodies) == 1:
        yield from lines(each.bodies[0], room=room)
        yield f"for i in {each.over}"
        return
    yield "step"
    yield f"for i in {each.over}"
    yield "for step in ("
    for body in each.bodies:
        yield from _indented(lines(body, after=",", room=room - len(INDENT)))
    yield ")"


def _indented(rows: Iterable[str]) -> Iterator[str]:
    return (INDENT + row for row in rows)


def function(head: str, text: str, body: Iterable[str]) -> list[str]:
    """Its lines; those of the docstring are wrapped. ``body`` keeps within ``INSIDE`` columns."""
    rows = textwrap.wrap(text, INSIDE - len('"""."""'), break_long_words=False, break_on_hyphens=False)
    said = [f'"""{rows[0]}"""'] if len(rows) == 1 else [f'"""{rows[0]}', *rows[1:], '"""']
    return [head, *(INDENT + line if line else "" for line in [*said, *body])]
