"""``gradient-clinic export``: an experiment, or one run, to TensorBoard, MLflow or Parquet, over the public API."""

import argparse
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Final, NamedTuple

from gradient_clinic.command.asking import reached, say
from gradient_clinic.command.clinic import Client, RefusedError
from gradient_clinic.command.codes import WELL, MisusedError
from gradient_clinic.command.trial import Target, Trial, has_ended
from gradient_clinic.signals import SIGNALS


class Form(NamedTuple):
    module: str
    target: str
    extra: str
    packages: frozenset[str]


FORMS: Final = {
    "tensorboard": Form("to_tensorboard", "TensorBoard", "tensorboard", frozenset({"tensorboard", "pyarrow"})),
    "mlflow": Form("to_mlflow", "Mlflow", "mlflow", frozenset({"mlflow", "pyarrow"})),
    "parquet": Form("to_parquet", "Parquet", "service", frozenset()),
}
"""A closed list: where to, and what writes there. Their packages are the user's, and are loaded when asked for."""


def export(arguments: argparse.Namespace) -> int:
    target = target_of(*arguments.to)
    with reached(arguments) as client:
        trial = _trial(client, arguments)
        try:
            with redirect_stdout(sys.stderr):  # what the libraries of others print is no answer
                target.begin(trial)
                written = {run["id"]: _said(run, target.write(trial, run)) for run in trial.chosen if has_ended(run)}
        except OSError as error:
            message = f"--to {' '.join(arguments.to)}: {error}"
            raise MisusedError(message) from error
    left = [run["id"] for run in trial.chosen if not has_ended(run)]
    if left:
        words = f"{len(left)} runs are left out, as they have not ended or had never begun: export again later"
        print(f"gradient-clinic: {words}", file=sys.stderr)  # noqa: T201 -- for whoever asks
    answer = {"experiment_id": trial.experiment["id"], "written": written, "left_out": left}
    say(arguments, answer, f"{len(written)} runs are written")
    return WELL


def target_of(form: str, place: str) -> Target:
    if form not in FORMS:
        message = f"--to {form}: there are {', '.join(FORMS)}"
        raise MisusedError(message)
    asked = FORMS[form]
    try:
        module = import_module(f"gradient_clinic.command.{asked.module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in asked.packages:
            raise
        message = (
            f'--to {form} needs {" and ".join(sorted(asked.packages))}: pip install "gradient-clinic[{asked.extra}]"'
        )
        raise MisusedError(message) from error
    target: Target = getattr(module, asked.target)(place)
    return target


def _trial(client: Client, arguments: argparse.Namespace) -> Trial:
    signals = arguments.signal or SIGNALS
    if unknown := set(signals) - set(SIGNALS):
        message = f"--signal {', '.join(sorted(unknown))}: there are {', '.join(SIGNALS)}"
        raise MisusedError(message)
    if arguments.every < 1:
        message = f"--every {arguments.every}: it is 1 or more"
        raise MisusedError(message)
    experiment, only = _named(client, arguments.what)
    runs = client.runs(experiment)
    chosen = [run for run in runs if only in {None, run["id"]}]
    return Trial(client, experiment, client.comparison(experiment), runs, chosen, tuple(signals), arguments.every)


def _named(client: Client, what: str) -> tuple[dict[str, object], str | None]:
    """The experiment of this id, and None; or that of the run of this id, and the run's id."""
    try:
        return client.experiment(what), None
    except RefusedError as error:
        if error.problem.get("status") != 404:
            raise
    run = client.run(what)
    return client.experiment(run["experiment_id"]), run["id"]


def _said(run: dict[str, object], where: str) -> str:
    print(f"{run['variant']}, seed {run['seed']}: {where}", file=sys.stderr)  # noqa: T201 -- for whoever waits
    return where
