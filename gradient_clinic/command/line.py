"""``gradient-clinic``: check an untrained network; give a clinic experiments, wait for them, read what they say."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from gradient_clinic.command.codes import INTERRUPTED, MISUSED, RAISED, MisusedError
from gradient_clinic.watcher.calls import AwayError

CODES: Final = (
    "exit codes: 0 nothing (new) was found, or something trains; 1 something was found, or nothing trains; "
    "2 it cannot be asked so, or was refused; 3 the model has raised, or the service does not answer; "
    "124 the time to wait is over"
)
NO_EXTRA: Final = 'this needs httpx and rich: pip install "gradient-clinic[service]"'


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return _function(arguments)(arguments)
    except MisusedError as error:
        if str(error):
            print(f"gradient-clinic: {error}", file=sys.stderr)  # noqa: T201 -- for whoever asks
        return MISUSED
    except AwayError as error:
        print(f"gradient-clinic: {error}", file=sys.stderr)  # noqa: T201 -- for whoever asks
        return RAISED
    except KeyboardInterrupt:
        return INTERRUPTED  # whoever has pressed it knows why


def _function(arguments: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """Loaded now: looking at a network needs torch, and speaking to a clinic needs httpx and rich."""
    try:
        module = import_module(f"gradient_clinic.command.{arguments.module}")
    except ModuleNotFoundError as error:
        if error.name in {"httpx", "rich"}:
            raise MisusedError(NO_EXTRA) from error
        raise
    found: Callable[[argparse.Namespace], int] = getattr(module, arguments.function)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradient-clinic", description=__doc__, epilog=CODES)
    commands = parser.add_subparsers(required=True, metavar="command")
    check = commands.add_parser("check", help="one batch through an untrained network and back", epilog=CODES)
    check.add_argument("made_by", metavar="package.module:make_model", help="gives (model, batch, loss[, optimizer])")
    check.add_argument("--baseline", type=Path, help="a file of findings that are known: only new ones fail")
    check.add_argument("--write-baseline", type=Path, help="write what is found into such a file, and end with 0")
    check.add_argument("--junit", type=Path, help="write JUnit's XML")
    check.add_argument("--sarif", type=Path, help="write SARIF 2.1.0")
    check.add_argument("--seed", type=int, default=0, help="of torch's random numbers (0)")
    check.set_defaults(module="checking", function="check")
    send = commands.add_parser("send", help="deliver the file that a watch has left while its service was away")
    send.add_argument("file", type=Path)
    send.add_argument("--to", required=True, help="the address of the service")
    send.add_argument("--key-file", type=Path, help="a file with the key of the service")
    send.set_defaults(module="checking", function="send")
    _add_asking(commands)
    _add_keys(commands)
    return parser


def _add_asking(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    clinic, answer, waiting = _shared()
    submit = _asking(commands, "submit", "send a spec, and wait for its answer if asked to", clinic, answer, waiting)
    submit.add_argument("file", help="a spec as JSON; - reads it from standard input")
    submit.add_argument("--set", action="append", default=[], metavar="network.depth=30", help="change the spec")
    submit.add_argument("--wait", action="store_true", help="until the experiment has ended, and show its answer")
    submit.add_argument("--job", help="the same spec under the same job is one experiment (the scheduler's own id)")
    wait = _asking(commands, "wait", "until an experiment has ended, and show its answer", clinic, answer, waiting)
    wait.add_argument("experiment")
    watch = _asking(commands, "watch", "follow experiments, live, until all have ended", clinic, waiting)
    watch.add_argument("experiments", nargs="+", metavar="experiment")
    watch.set_defaults(module="watching")
    compare = _asking(
        commands, "compare", "show the answer; of several, beside the baseline of the first", clinic, answer
    )
    compare.add_argument("experiments", nargs="+", metavar="experiment")
    report = _asking(commands, "report", "the experiment as one HTML page", clinic)
    report.add_argument("experiment")
    report.add_argument("-o", "--output", type=Path, help="a file (standard output)")
    trace = _asking(commands, "trace", "one signal of a run", clinic)
    trace.add_argument("run_id", metavar="run")
    trace.add_argument("--signal", default="activation_gradient_rms")
    trace.add_argument(
        "-o", "--output", type=Path, help="a file .csv, .json, .arrow or .parquet (CSV on standard output)"
    )
    upload = _asking(commands, "upload", "store a data set: npz, IDX, WAV, or a table as CSV", clinic)
    upload.add_argument("name")
    upload.add_argument("file", type=Path)
    for name, values, what in (
        ("target", "COLUMN", "of a table: the column to be learned (the last)"),
        ("missing", "refuse|drop|fill", "of a table: rows with gaps; fill takes the mean of the column (refuse)"),
        ("task", "classification|regression", "whether a label is one of some, or an amount (as they look)"),
        ("header", "true|false", "of a table: whether its first row has names (as it looks)"),
    ):
        upload.add_argument(f"--{name}", metavar=values, help=what)
    upload.add_argument("--ignore", action="append", metavar="COLUMN", help="of a table: leave it out, repeated")
    _add_export(_asking(commands, "export", "write an experiment, or one run, for other tools", clinic))
    _add_import(_asking(commands, "import", "bring in the log of a finished training as a run", clinic))


def _add_export(export: argparse.ArgumentParser) -> None:
    export.set_defaults(module="exporting")
    export.add_argument("what", metavar="experiment|run")
    export.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("FORM", "PLACE"),
        help="tensorboard FOLDER, mlflow URI, or parquet FOLDER",
    )
    export.add_argument("--signal", action="append", help="of tensorboard and mlflow: this signal, repeated; else all")
    export.add_argument("--every", type=int, default=1, metavar="N", help="of these: steps that N divides (1)")


def _add_import(importing: argparse.ArgumentParser) -> None:
    importing.set_defaults(module="importing", function="import_log")
    importing.add_argument("log", type=Path, help="trainer_state.json, CSV, a TensorBoard event file; or their folder")
    importing.add_argument(
        "--to", dest="server", metavar="URL", default=argparse.SUPPRESS, help="the clinic; as --server"
    )
    importing.add_argument("--experiment", metavar="NAME", help="the experiment (the log's name)")
    importing.add_argument("--variant", metavar="NAME", default="baseline", help="the variant (baseline)")
    importing.add_argument("--seed", type=int, default=0, metavar="N", help="the seed (0)")
    importing.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="of the experiment, repeated"
    )
    importing.add_argument("--data", metavar="NAME", help="what it was trained on, in a word")
    importing.add_argument("--step", metavar="COLUMN", help="of a CSV: the column of steps")
    importing.add_argument("--loss", metavar="COLUMN", help="the column or tag of the training loss")
    importing.add_argument("--validation", metavar="COLUMN", help="that of the validation loss")
    importing.add_argument("--metric", metavar="COLUMN[=accuracy]", help="that of a metric, and what it means")
    importing.add_argument(
        "--chance", type=float, metavar="LOSS", help="the loss of who knows no case: ln K of K labels"
    )


def _add_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    clinic, _, _ = _shared()
    keys = commands.add_parser("keys", help="list, create, rotate and revoke keys; asks for a key with admin")
    actions = keys.add_subparsers(required=True, metavar="action")
    listed = _asking(actions, "list", "the keys, newest first; their secrets are told nowhere", clinic)
    listed.add_argument("--owner", help="those of one owner")
    create = _asking(actions, "create", "make a key; its secret goes to standard output, once", clinic)
    create.add_argument("owner", help="whose experiments and data it opens")
    create.add_argument("name", help="what it is used for")
    create.add_argument("--scopes", required=True, metavar="read,submit", help="what it may do: read, submit, admin")
    create.add_argument("--reads", default="", metavar="bob,carol", help="other owners of whom it shows what they have")
    create.add_argument("--expires", metavar="2027-06-30T00:00:00Z", help="when it ends (when it is revoked)")
    rotate = _asking(actions, "rotate", "give a key a new secret, which goes to standard output, once", clinic)
    rotate.add_argument("--overlap", type=float, default=3600.0, metavar="S", help="the old one opens so long (3600)")
    revoke = _asking(actions, "revoke", "end a key at once", clinic)
    for named in (rotate, revoke):
        named.add_argument("key_id", metavar="key", help="its id, as the list has it")
    for action in (listed, create, rotate, revoke):
        action.set_defaults(module="keys")
    listed.set_defaults(function="list_keys")


def _asking(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", parents=parents, epilog=CODES
    )
    parser.set_defaults(module="asking", function=name)
    return parser


def _shared() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser, argparse.ArgumentParser]:
    """Options of all that ask a clinic, of those that show an answer, and of those that wait for it."""
    given = os.environ  # noqa: TID251 -- a command's own, beside its options
    clinic = argparse.ArgumentParser(add_help=False)
    clinic.add_argument("--server", default=given.get("CLINIC_URL", "http://127.0.0.1:8000"), help="or CLINIC_URL")
    clinic.add_argument("--key-file", type=Path, help="a file with the key; or the key itself in CLINIC_API_KEY")
    clinic.add_argument("--json", action="store_true", help="the API's answer as it is")
    clinic.set_defaults(key=given.get("CLINIC_API_KEY"))
    answer = argparse.ArgumentParser(add_help=False)
    answer.add_argument("--markdown", type=Path, help="write the answer and a table, for a summary")
    answer.add_argument("--junit", type=Path, help="write JUnit's XML: a variant that does not train fails")
    answer.add_argument("--sarif", type=Path, help="write SARIF 2.1.0: a result for each cause")
    waiting = argparse.ArgumentParser(add_help=False)
    waiting.add_argument("--timeout", type=float, metavar="S", help="seconds to wait; then it ends with 124")
    return clinic, answer, waiting


if __name__ == "__main__":
    sys.exit(main())
