"""``gradient-clinic keys``: who may ask a clinic. A secret goes to standard output, and nothing else does."""

import argparse
import sys
from typing import Any, Final

from gradient_clinic.command.asking import reached, say
from gradient_clinic.command.clinic import Json
from gradient_clinic.command.codes import WELL

COLUMNS: Final = ("id", "owner", "scopes", "reads", "starts_with", "expires_at", "last_used_at", "name")
NONE: Final = "–"


def list_keys(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        found = client.keys(arguments.owner)
    say(arguments, {"items": found, "next_page_token": ""}, "\n".join(_rows(found)))
    return WELL


def create(arguments: argparse.Namespace) -> int:
    scopes, reads = _listed(arguments.scopes), _listed(arguments.reads)
    asked = {"owner": arguments.owner, "name": arguments.name, "scopes": scopes, "reads": reads}
    asked |= {"expires_at": arguments.expires}
    with reached(arguments) as client:
        return _tell(arguments, client.make_key(asked))


def rotate(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        return _tell(arguments, client.rotate_key(arguments.key_id, arguments.overlap))


def revoke(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        client.revoke_key(arguments.key_id)
    say(arguments, {"id": arguments.key_id}, f"{arguments.key_id} opens nothing any more")
    return WELL


def _tell(arguments: argparse.Namespace, made: Json) -> int:
    """The secret is told this once: ``> file`` keeps it, and nobody has to cut it out of a sentence."""
    until = made["previous_until"]
    print(  # noqa: T201 -- beside the answer
        f"{made['id']}: {', '.join(made['scopes'])} for {made['owner']}, until {made['expires_at'] or 'it is revoked'}",
        *([] if until is None else [f"the secret before this one opens until {until}"]),
        sep="\n",
        file=sys.stderr,
    )
    say(arguments, made, made["key"])
    return WELL


def _rows(found: list[Json]) -> list[str]:
    """A line for each, in columns: names may have spaces and come last."""
    cells = [[name.replace("_at", "").replace("_", " ") for name in COLUMNS]]
    cells += [[_cell(key[name]) for name in COLUMNS] for key in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    return ",".join(value) or NONE if isinstance(value, list) else NONE if value is None else str(value)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
