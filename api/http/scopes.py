"""Which scope a route asks for. It is read from the route: ``read`` for what only looks, ``submit`` for all else,
unless the route or its router is marked. So a new route that nobody has thought of asks for more rather than for less.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from fastapi.routing import RouteContext

from models.owners.scopes import Scope

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Mark:
    """Stands among the dependencies of a route, and does nothing there."""

    scope: Scope

    async def __call__(self) -> None: ...


ANSWERS_ONLY: Any = Depends(Mark(Scope.READ))
"""A POST that changes nothing: its body is a question."""
ADMINS_ONLY: Any = Depends(Mark(Scope.ADMIN))


@dataclass(frozen=True, slots=True)
class _Unnoted:
    async def __call__(self) -> None: ...


UNNOTED: Any = Depends(_Unnoted())
"""A part of something larger that is written down as a whole: the audit would be full of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request comes to: its operation, what a key must be good for, and whether the audit notes it."""

    operation: str
    needs: Scope
    noted: bool

    @property
    def only_reads(self) -> bool:
        return self.needs is Scope.READ


def asked(route: RouteContext, method: str) -> Asked:
    needs = needed(route, method)
    is_part = any(isinstance(one.dependency, _Unnoted) for one in _dependencies(route))
    noted = method not in SAFE and needs is not Scope.READ and not is_part
    return Asked(f"{method} {route.path_format}", needs, noted)


def needed(route: RouteContext, method: str) -> Scope:
    """By the strictest mark, else by the method."""
    marked = [one.dependency.scope for one in _dependencies(route) if isinstance(one.dependency, Mark)]
    order = list(Scope)
    return max(marked, key=order.index, default=Scope.READ if method in SAFE else Scope.SUBMIT)


def _dependencies(route: RouteContext) -> list[Any]:
    return getattr(route, "dependencies", None) or []  # a plain route of Starlette has none
