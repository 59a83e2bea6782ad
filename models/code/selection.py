"""Which of the pieces a file needs: those that its own text names, those that they name in turn, and their imports."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "pieces"
ORDER: Final = ("randomness", "sources", "cases", "modules", "over_time", "treatments", "objectives")
"""Of the pieces in a file: what one is made of stands before it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A class, function or constant with its text; ``names`` are all that it names."""

    name: str
    room: str
    text: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Import:
    """``module`` alone, or a name of it."""

    module: str
    name: str = ""
    alias: str = ""


IMPORTS: dict[str, Import] = {
    "Any": Import("typing", "Any"),
    "Callable": Import("collections.abc", "Callable"),
    "Iterator": Import("collections.abc", "Iterator"),
    "NamedTuple": Import("typing", "NamedTuple"),
    "Path": Import("pathlib", "Path"),
    "Sequence": Import("collections.abc", "Sequence"),
    "Tensor": Import("torch", "Tensor"),
    "dataclass": Import("dataclasses", "dataclass"),
    "find_spec": Import("importlib.util", "find_spec"),
    "functional": Import("torch.nn", "functional"),
    "gaussian_filter1d": Import("scipy.ndimage", "gaussian_filter1d"),
    "gzip": Import("gzip"),
    "hashlib": Import("hashlib"),
    "islice": Import("itertools", "islice"),
    "itertools": Import("itertools"),
    "math": Import("math"),
    "nn": Import("torch", "nn"),
    "np": Import("numpy", alias="np"),
    "parametrizations": Import("torch.nn.utils", "parametrizations"),
    "partial": Import("functools", "partial"),
    "topics": Import("pydoc_data.topics", "topics"),
    "torch": Import("torch"),
}
"""By the name under which a file knows them."""
FROM_ELSEWHERE: Final = {"numpy", "scipy.ndimage", "torch", "torch.nn", "torch.nn.utils"}


@cache
def pieces() -> dict[str, Piece]:
    """All of them by name, in order."""
    return {piece.name: piece for room in ORDER for piece in _pieces_of(room)}


def _pieces_of(room: str) -> Iterator[Piece]:
    text = (FOLDER / f"{room}.py").read_text(encoding="utf-8")
    rows = text.splitlines()
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                name, first = node.name, min([node.lineno, *(its.lineno for its in node.decorator_list)])
            case ast.Assign(targets=[ast.Name(id=name)]):
                first = node.lineno
            case _:
                continue
        assert node.end_lineno is not None
        # Notes for our own checks say nothing to others.
        kept = [row.split("  # noqa")[0].split("  # type:")[0] for row in rows[first - 1 : node.end_lineno]]
        yield Piece(name, room, "\n".join(kept), frozenset(_names(node)))


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def needed(text: str) -> list[Piece]:
    """The pieces that this text needs, in order."""
    known = pieces()
    found: set[str] = set()
    open_names = _names(ast.parse(text)) & known.keys()
    while open_names:
        found |= open_names
        open_names = {name for its in open_names for name in known[its].names if name in known} - found
    return [piece for name, piece in known.items() if name in found]


def imports(texts: Iterable[str]) -> list[str]:
    """The import statements of texts that stand together, those of Python's own library first."""
    used = {name for text in texts for name in _names(ast.parse(text))} & IMPORTS.keys()
    chosen = [IMPORTS[name] for name in used]
    own = [its for its in chosen if its.module not in FROM_ELSEWHERE]
    others = [its for its in chosen if its.module in FROM_ELSEWHERE]
    return [*_statements(own), "", *_statements(others)]


def _statements(chosen: list[Import]) -> list[str]:
    whole = sorted(f"import {its.module}" + (f" as {its.alias}" if its.alias else "") for its in chosen if not its.name)
    modules = sorted({its.module for its in chosen if its.name})
    by_name = [
        f"from {module} import {', '.join(sorted(its.name for its in chosen if its.name and its.module == module))}"
        for module in modules
    ]
    return [*whole, *by_name]
