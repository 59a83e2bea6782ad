"""``gradient-clinic check`` looks at an untrained network, for continuous integration; ``send`` delivers a spool.

The only module of the command that loads torch.
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradient_clinic.command.codes import FOUND, RAISED, WELL, MisusedError
from gradient_clinic.watcher import findings
from gradient_clinic.watcher.calls import AwayError, RefusedError, send_spool
from gradient_clinic.watcher.preflight import Preflight, preflight


@dataclass(frozen=True, slots=True)
class Made:
    """What ``make_model`` gives: (model, batch, loss) or (model, batch, loss, optimiser)."""

    model: nn.Module
    batch: tuple[Any, Any]
    loss: Callable[[Any, Any], torch.Tensor]
    optimizer: Any


def check(arguments: argparse.Namespace) -> int:
    known = _known(arguments.baseline)
    make = _function(arguments.made_by)
    torch.manual_seed(arguments.seed)  # noqa: TID251 -- whoever makes the model draws from torch's own
    try:
        made = _made(make())
        found = preflight(made.model, made.batch, made.loss, made.optimizer)
    except MisusedError:
        raise
    except Exception as error:  # noqa: BLE001 -- the edge: whatever it is, it is the model's
        print(f"{arguments.made_by} has raised {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return RAISED
    _written(arguments, found, known, make)
    new = [its for its in found.findings if findings.is_new(its, known)]
    said = f"{len(found.findings)} found, {len(new)} of them new" if arguments.baseline else f"{len(new)} found"
    print(f"{found.text()}\n{said}")  # noqa: T201 -- the answer
    return WELL if not new or arguments.write_baseline is not None else FOUND


def _written(
    arguments: argparse.Namespace, found: Preflight, known: findings.Known, make: Callable[[], object]
) -> None:
    if arguments.write_baseline is not None:
        findings.write_known(arguments.write_baseline, found.findings)
    if arguments.junit is not None:
        arguments.junit.write_text(findings.junit(found.findings, known, arguments.made_by), encoding="utf-8")
    if arguments.sarif is not None:
        text = findings.sarif(found.findings, known, _version(), _place(make))
        arguments.sarif.write_text(text, encoding="utf-8")


def _known(path: Path | None) -> findings.Known:
    if path is None:
        return frozenset()
    try:
        return findings.read_known(path)
    except (OSError, ValueError) as error:
        raise MisusedError(str(error)) from error


def _function(named: str) -> Callable[[], object]:
    module, _, name = named.partition(":")
    if not module or not name:
        message = f"{named!r} is not package.module:make_model"
        raise MisusedError(message)
    sys.path.insert(0, str(Path.cwd()))  # as python -m has it, and a script of a package has not
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MisusedError(str(error)) from error
    if not callable(found):
        message = f"{named} is a {type(found).__name__}, and cannot be called"
        raise MisusedError(message)
    make: Callable[[], object] = found
    return make


def _made(given: object) -> Made:
    if isinstance(given, tuple) and len(given) in {3, 4} and isinstance(given[0], nn.Module):
        model, batch, loss, *optimizer = given
        if isinstance(batch, tuple | list) and len(batch) == 2 and callable(loss):
            return Made(model, (batch[0], batch[1]), loss, optimizer[0] if optimizer else None)
    shown = tuple(type(its).__name__ for its in given) if isinstance(given, tuple) else type(given).__name__
    message = f"make_model gives (model, (inputs, targets), loss) or these and an optimiser, not {shown}"
    raise MisusedError(message)


def _place(make: Callable[[], object]) -> tuple[str, int]:
    """The file, from where it is run, and the line."""
    file, line = inspect.getsourcefile(make), inspect.getsourcelines(make)[1]
    path = Path(file or "")
    return (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix(), max(line, 1)


def _version() -> str:
    try:
        return version("gradient-clinic")
    except PackageNotFoundError:  # run from its sources
        return "0"


def send(arguments: argparse.Namespace) -> int:
    key = None if arguments.key_file is None else arguments.key_file.read_text(encoding="utf-8").strip()
    try:
        send_spool(arguments.file, arguments.to, key)
    except OSError as error:
        raise MisusedError(str(error)) from error
    except (AwayError, RefusedError) as error:
        print(f"the service has not taken it, and it stays: {error}", file=sys.stderr)  # noqa: T201
        return RAISED
    return WELL
