"""The commands behind the Makefile: up, run, check-migrations, migration, document."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from local import migrations, trial
from local.errors import LocalError
from local.interrupts import InterruptedBySignal
from local.session import running_clinic
from local.supervisor import keep_up
from models.settings import Settings


def up(_: argparse.Namespace) -> int:
    with running_clinic(Settings(), alone=True) as clinic:
        print(
            f"Gradient Clinic is up at {clinic.address} (API guide: {clinic.address}/docs). Ctrl-C ends it.", flush=True
        )
        keep_up(clinic)
    return 0


def run(arguments: argparse.Namespace) -> int:
    return trial.run(arguments.spec, Settings(), arguments.pictures)


def check_migrations(_: argparse.Namespace) -> int:
    migrations.check()
    return 0


def migration(arguments: argparse.Namespace) -> int:
    migrations.write(arguments.message)
    return 0


def write_document(_: argparse.Namespace) -> int:
    from local import document  # noqa: PLC0415 -- the whole API, seconds that who starts it as a process need not wait

    document.write()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("up", help="start everything, keep it up").set_defaults(command=up)
    one = commands.add_parser("run", help="start everything, run one experiment, stop")
    one.add_argument("spec", type=Path)
    one.add_argument("--pictures", type=Path, help="leave the README's pictures in this folder")
    one.set_defaults(command=run)
    commands.add_parser("check-migrations", help="hold migrations and tables together").set_defaults(
        command=check_migrations
    )
    new = commands.add_parser("migration", help="write the next migration")
    new.add_argument("message")
    new.set_defaults(command=migration)
    commands.add_parser("document", help="write docs/openapi.json").set_defaults(command=write_document)
    return parser


def _sentence(error: ErrorDetails) -> str:
    name = "".join(f"CLINIC_{part}".upper() for part in error["loc"])
    return f"{name}: {error['msg']}" if name else error["msg"].removeprefix("Value error, ")


def main() -> int:
    arguments = _parser().parse_args()
    try:
        code: int = arguments.command(arguments)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except ValidationError as error:
        print("the settings cannot be used:", *map(_sentence, error.errors()), sep="\n  ", file=sys.stderr)
        return 1
    except InterruptedBySignal as interrupt:
        # An ordered end is a good end; only a trial that was broken off has not done what was asked.
        return 0 if arguments.command is up and not interrupt.again else 128 + interrupt.number
    return code


if __name__ == "__main__":
    sys.exit(main())
