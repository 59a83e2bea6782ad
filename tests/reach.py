"""Which modules a test module reaches, by what stands in them: so tests that can train need no mark that rots."""

import sys
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType

ROOMS = frozenset({"api", "gradient_clinic", "local", "models", "proofs", "tests", "worker"})


def reaches(module: ModuleType, name: str) -> bool:
    """Whether ``name`` is among the modules that a module's names come from, and theirs, and so on.

    A test's own imports run at its head (ruff PLC0415), so all are there once it is collected.
    """
    return name in _reached(module)


@lru_cache
def _reached(module: ModuleType) -> frozenset[str]:
    seen: dict[str, ModuleType] = {}
    waiting = [module]
    while waiting:
        for other in _origins(waiting.pop()):
            if other.__name__ not in seen:
                seen[other.__name__] = other
                waiting.append(other)
    return frozenset(seen)


def _origins(module: ModuleType) -> Iterator[ModuleType]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name.partition(".")[0] in ROOMS and name in sys.modules:
            yield sys.modules[name]
