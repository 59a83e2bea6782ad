"""``python -m worker``: a Celery parent with one child per slot, and a warden beside it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from celery import signals

from models import logs
from models.settings import Settings
from worker.app import create_app, queues

TEND_S = 1.0


@dataclass(slots=True)
class _Warden:
    """Its process, started again if it should end."""

    _process: "subprocess.Popen[bytes] | None" = None

    def tend(self) -> None:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "worker.warden", str(os.getpid())]
            self._process = subprocess.Popen(command)  # noqa: S603 -- our own module


def main() -> None:
    logs.configure()
    app = create_app(Settings())
    warden = _Warden()

    def guard(sender: Any, **_: object) -> None:
        warden.tend()
        sender.hub.call_repeatedly(TEND_S, warden.tend)

    # Held strongly: Celery's signals keep weak references, and nobody else holds this function.
    signals.worker_ready.connect(guard, weak=False)
    taken = f"--queues={','.join(queues(app.settings))}"
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]  # workers meet in Postgres only
    app.worker_main(["worker", "--pool=prefork", taken, *alone, "--loglevel=INFO"])


if __name__ == "__main__":
    main()
