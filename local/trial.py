"""`make run`: one experiment through the public API, followed to its comparison."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from gradient_clinic.command import table
from gradient_clinic.command.clinic import FINISHED, Client, RefusedError
from gradient_clinic.command.progress import counted, follow
from local.errors import LocalError
from local.interrupts import InterruptedBySignal
from local.session import running_clinic
from models.settings import Settings

REFUSED = 2
LOOK_S = 0.2
PICTURES = ("comparison.svg", "heatmaps.svg")
"""Those that the README shows."""
PLUGINS_S = 60.0
"""So long the workers may take to load them."""
CANCEL_LOOKS = 10
"""How often a cancelled experiment is looked at before its end is left to the next start."""


def run(spec: Path, settings: Settings, pictures: Path | None = None) -> int:
    """0 when the experiment succeeded, 1 when it did not, 2 when the spec was refused. ``pictures``: where those of a
    README are left.
    """
    console = table.console_on(sys.stdout)
    body = _read(spec)
    console.print("starting PostgreSQL, Redis, the API and the workers …", style="dim")
    with running_clinic(settings, alone=False) as clinic:
        client = Client(clinic.address, settings.bootstrap_key())
        try:
            _wait_for_plugins(client, settings.plugins, clinic.tend)
            return one_experiment(console, client, body, clinic.tend, settings.data_dir / "reports", pictures)
        except (httpx.TransportError, RefusedError) as error:
            message = f"the API does not answer as it should: {error}"
            raise LocalError(message) from error
        finally:
            client.close()


def one_experiment(  # noqa: PLR0913, PLR0917 -- whom it speaks to, what of, and where it leaves what
    console: Console,
    client: Client,
    body: bytes,
    tend: Callable[[], None],
    reports: Path,
    pictures: Path | None = None,
) -> int:
    """Submits, follows and shows; ``tend`` is called about once a second meanwhile; a page to look at is left in
    ``reports``, and ``PICTURES`` in ``pictures``. The answer is the exit code.
    """
    try:
        experiment = client.submit(body)
    except RefusedError as refusal:
        table.show_refusal(console, refusal.problem)
        return REFUSED
    try:
        experiment = follow(console, client, experiment, tend=tend)
    except InterruptedBySignal:
        # Before the processes end: at the next start nobody waits for its runs any more.
        _cancel(client, experiment)
        raise
    if sum(experiment["runs"].values()) > experiment["runs"]["failed"] + experiment["runs"]["cancelled"]:
        table.show(console, client.comparison(experiment))
        reports.mkdir(parents=True, exist_ok=True)
        page = reports / f"{experiment['id']}.html"
        page.write_bytes(client.report(experiment))
        console.print(f"\nThe same with heat maps, as a page: {page}")
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            for name in PICTURES:
                (pictures / name).write_bytes(client.picture(experiment, name))
    if experiment["state"] == "succeeded":
        return 0
    console.print(f"The experiment {experiment['state']} (runs: {counted(experiment)}).", style="bold red")
    return 1


def _wait_for_plugins(client: Client, packages: Sequence[str], tend: Callable[[], None]) -> None:
    """Until a worker has published some of each, as their experiments are refused before; not for ever."""
    deadline = time.monotonic() + PLUGINS_S
    while set(packages) - client.packages() and time.monotonic() < deadline:
        tend()
        time.sleep(LOOK_S)


def _cancel(client: Client, experiment: dict[str, Any]) -> None:
    """Asks, and gives the workers a moment to obey, so that nothing of it goes on at the next start."""
    with suppress(httpx.TransportError, RefusedError):
        client.cancel(experiment)
        etag = None
        for _ in range(CANCEL_LOOKS):
            experiment, etag = client.look(experiment, etag)
            if experiment["state"] in FINISHED:
                break
    print(f"the experiment was cancelled (runs: {counted(experiment)})", file=sys.stderr)


def _read(spec: Path) -> bytes:
    try:
        return spec.read_bytes()
    except OSError as error:
        message = f"the spec {spec} cannot be read: {error.strerror}"
        raise LocalError(message) from error
