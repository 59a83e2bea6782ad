"""``python -m api``: serve on ``CLINIC_HOST`` and ``CLINIC_PORT`` until told to stop."""

import gc
import sys
from contextlib import suppress

from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from api.app import create_app
from api.server import Server
from models import heap, logs
from models.settings import Settings

WRONG_SETTINGS = 2
"""The exit code of a start that no restart will mend."""
NOT_STARTED = 3
"""Uvicorn's own, where its start failed; its log says why."""


def main() -> int:
    heap.for_answers()
    threadpool_limits(1, "blas")  # theory has many small matrices: a second thread would wait for the first
    try:
        settings = Settings()
        app = create_app(settings)
    except (ValueError, OSError) as error:
        print(f"the API cannot start: {_sentence(error)}", file=sys.stderr)  # noqa: T201 -- for whoever starts it
        return WRONG_SETTINGS
    logs.configure()
    gc.collect()
    gc.freeze()  # modules and shapes stay: a search through all of them would hold an answer up for 100 ms
    server = Server(app, settings.host, settings.port)
    # Uvicorn ends as it was asked to, and then repeats the signal.
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else NOT_STARTED


def _sentence(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        ": ".join([*(f"CLINIC_{str(part).upper()}" for part in one["loc"]), one["msg"].removeprefix("Value error, ")])
        for one in error.errors()
    )


if __name__ == "__main__":
    sys.exit(main())
