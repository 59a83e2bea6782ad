"""Which modules a test module reaches, by what stands in them: so tests that can train need no mark that rots."""

import sys
from functools import cache
from types import ModuleType

ROOMS = frozenset({"api", "gradient_clinic", "local", "models", "proofs", "tests", "worker"})


def reaches(module: ModuleType, name: str) -> bool:
    """Whether ``name`` is among the modules that a module's names come from, and theirs, and so on.

    A test's own imports run at its head (ruff PLC0415), so all are there once it is collected.
    """
    return name in _reached(module)


@cache
def _reached(module: ModuleType) -> frozenset[str]:
    seen = set[ModuleType]()
    waiting = [module]
    while waiting:
        new = _origins(waiting.pop()) - seen
        seen |= new
        waiting += new
    return frozenset(one.__name__ for one in seen)


@cache  # hundreds of test modules reach the same ones
def _origins(module: ModuleType) -> frozenset[ModuleType]:
    return frozenset(sys.modules[name] for name in map(_origin, list(vars(module).values())) if name in sys.modules)


def _origin(value: object) -> str | None:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name if isinstance(name, str) and name.partition(".")[0] in ROOMS else None
