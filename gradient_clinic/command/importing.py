"""``gradient-clinic import``: the log of a finished training as a run of a clinic, over the public API.

The token of the run is made of what is sent: the same log under the same names is one run, however often it is
imported, and an import that broke off goes on where it was.
"""

import argparse
import base64
import hashlib
import json
import socket
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from gradient_clinic.command.asking import reached, say
from gradient_clinic.command.clinic import Client
from gradient_clinic.command.codes import WELL, MisusedError
from gradient_clinic.command.log_files import Source, source_of
from gradient_clinic.command.log_grid import Evaluations, Laid, laid
from gradient_clinic.command.log_roles import Asked, Roles, may_be_read, roles_of
from gradient_clinic.command.progress import advancing
from gradient_clinic.command.series import Series, Written, gathered
from gradient_clinic.command.table import console_on
from gradient_clinic.signals import CURVES
from gradient_clinic.values import Array, finite_or_none

Json = dict[str, Any]
MEANINGS: Final = ("accuracy", "balanced_accuracy", "r2")
"""What a clinic compares as a metric."""
MOST_STEPS: Final = 10_000_000
"""Of a run of a clinic."""
PART: Final = 50_000
"""Records in a message, which is then below the 4 MiB that a clinic takes."""
LONG_BYTES: Final = 2**20
"""From here on the reading of a log is told as it goes on."""
MOST_NAMED: Final = 4
LONGEST: Final = 200
"""Of a name, or of a line."""


@dataclass(frozen=True, slots=True)
class Read:
    """A log, before it is sent."""

    place: Path
    roles: Roles
    laid: Laid
    remarks: tuple[str, ...]


def import_log(arguments: argparse.Namespace) -> int:
    console = console_on(sys.stderr)
    asked = _asked(arguments)
    try:
        log = _read(source_of(arguments.log, asked), arguments.log, asked, console)
    except OSError as error:
        message = f"{arguments.log} cannot be read: {error}"
        raise MisusedError(message) from error
    opening = _opening(arguments, log)
    with reached(arguments) as client:
        run = _sent(client, opening, log, arguments.chance, console)
    for remark in log.remarks:
        print(f"gradient-clinic: {remark}", file=sys.stderr)  # noqa: T201 -- for whoever asks
    say(arguments, {**run, "remarks": log.remarks}, _words(arguments, run))
    return WELL


def _asked(arguments: argparse.Namespace) -> Asked:
    metric, _, meaning = (arguments.metric or "").partition("=")
    if meaning and meaning not in MEANINGS:
        message = f"--metric {arguments.metric}: a metric is one of {', '.join(MEANINGS)}"
        raise MisusedError(message)
    if arguments.chance is not None and not 0.0 < arguments.chance < float("inf"):
        message = f"--chance {arguments.chance}: it is the loss of who knows no case, above 0"
        raise MisusedError(message)
    return Asked(arguments.step, arguments.loss, metric or None, meaning or None, arguments.validation)


# --- reading --------------------------------------------------------------------------------------------------------


def _read(source: Source, place: Path, asked: Asked, console: Console) -> Read:
    with advancing(console, f"reading {place.name}", source.bytes, LONG_BYTES) as advance:
        written = gathered(source.points(advance), lambda name: may_be_read(name, asked))
    if not written:
        message = f"{place} holds no number at any step"
        raise MisusedError(message)
    roles = roles_of(written, asked, source.option)
    used = [name for name in (roles.loss, roles.rate, roles.norm, roles.validation, roles.metric) if name is not None]
    series: Mapping[str, Series] = {name: written[name].in_order() for name in used}
    found = laid(series, roles)
    if found.steps > MOST_STEPS:
        message = f"{place} reaches step {found.steps:,}, and a run has at most {MOST_STEPS:,}: name another by --step"
        raise MisusedError(message)
    return Read(place, roles, found, (*_repeated(written, roles), *found.remarks, *_left_out(roles)))


def _repeated(written: Mapping[str, Written], roles: Roles) -> tuple[str, ...]:
    count = written[roles.loss].repeated
    return (f"{count:,} losses of steps that come again later are passed over",) if count else ()


def _left_out(roles: Roles) -> tuple[str, ...]:
    said = []
    if roles.of_layers:
        why = "no verdict can rest on them alone, as it needs h, δ and weights of each layer"
        said.append(f"left out, {_named(roles.of_layers)}: norms by layer; {why}")
    if roles.unread:
        said.append(f"not read: {_named(roles.unread)}")
    return tuple(said)


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


# --- sending --------------------------------------------------------------------------------------------------------


def _opening(arguments: argparse.Namespace, log: Read) -> Json:
    """What opens the run, its token last."""
    found = log.laid
    network = {
        "kind": "unknown",
        "layers": [],
        "curves": [name for name in CURVES if name in found.curves],
        "parameters": 0,
        "optimizer": "unknown",
        "every": found.every,
        "steps": found.steps,
    }
    asked: Json = {
        "experiment": arguments.experiment or _name_of(log.place),
        "variant": arguments.variant,
        "seed": arguments.seed,
        "data": arguments.data,
        "metric": log.roles.metric_is,
        "labels": dict(map(_label, arguments.label)),
        "network": network,
        "device": "unknown",
    }
    return asked | {
        "writer": _line(f"import@{socket.gethostname()}"),
        "token": _token(asked, log, arguments),
    }


def _token(asked: Json, log: Read, arguments: argparse.Namespace) -> str:
    """Of all that is sent; of nothing that says where or when."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([asked, arguments.chance, log.place.name], sort_keys=True).encode())
    for name, values in sorted(log.laid.curves.items()):
        digest.update(name.encode() + values.astype("<f8").tobytes())
    digest.update(json.dumps(_evaluations(log.laid.evaluations)).encode())
    return str(uuid.UUID(bytes=digest.digest()))


def _sent(client: Client, opening: Json, log: Read, chance: float | None, console: Console) -> Json:
    opened = client.open_run(opening)
    curves = np.stack([log.laid.curves[name] for name in opening["network"]["curves"]])
    token, records = opening["token"], log.laid.records
    with advancing(console, f"sending {records:,} records", records, 2 * PART) as advance:
        advance(opened["records"])
        for first in range(opened["records"], records, PART):
            part = curves[:, first : first + PART]
            kept = client.put_records(opened["run_id"], first, {"token": token, "signals": "", "curves": _packed(part)})
            if kept["cancelled"]:
                message = f"the experiment {opening['experiment']!r} was cancelled meanwhile"
                raise MisusedError(message)
            advance(part.shape[1])
    return client.end_run(opened["run_id"], {"token": token, **_ending(log, chance)})


def _ending(log: Read, chance: float | None) -> Json:
    found, evaluations = log.laid, log.laid.evaluations
    loss, metric = (None, None) if evaluations is None else (evaluations.loss, evaluations.metric)
    return {
        "steps": found.steps,
        "outcome": "diverged" if found.ends_broken else "finished",
        "conditions": _line(f"the log {log.place.name}, {_logged(found)}"),
        "chance_level": chance,
        "validation_loss": None if loss is None else finite_or_none(float(loss[-1])),
        "test_metric": None if metric is None else finite_or_none(float(metric[-1])),
        "evaluations": _evaluations(evaluations),
    }


def _logged(found: Laid) -> str:
    """'4 losses at its steps 0 to 30': what was recorded, in the log's own count."""
    first, last = found.logged
    if first == last:
        return f"one loss at its step {first:,}"
    return f"{found.records:,} losses at its steps {first:,} to {last:,}"


def _evaluations(found: Evaluations | None) -> Json | None:
    if found is None:
        return None
    columns = {"loss": found.loss, "metric": found.metric}
    return {
        "steps": found.steps.tolist(),
        **{name: its if its is None else _packed(its) for name, its in columns.items()},
    }


def _packed(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def _name_of(place: Path) -> str:
    """Of a trainer's state the folder's: every state has the same name."""
    whole = place.resolve()
    folder = whole.parent.parent if whole.parent.name.startswith("checkpoint-") else whole.parent
    named = folder.name if whole.name == "trainer_state.json" else whole.stem if whole.is_file() else whole.name
    return _line(named or "log")


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key or not value:
        message = f"--label {text!r}: write it as key=value"
        raise MisusedError(message)
    return key, value


def _line(text: str) -> str:
    """As a clinic takes it."""
    return "".join(its if its.isprintable() else " " for its in text)[:LONGEST]


def _words(arguments: argparse.Namespace, run: Json) -> str:
    address = f"{arguments.server.rstrip('/')}/dashboard/#/run/{run['id']}"
    if run["verdict"] is None:
        return f"{run['state']}: {(run['error'] or {}).get('detail')}\n{address}"
    return f"{run['verdict']['kind']}: {run['verdict']['sentence']}\n{address}"
