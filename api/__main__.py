"""``python -m api``: serve on ``CLINIC_HOST`` and ``CLINIC_PORT`` until told to stop."""

import sys

import uvicorn
from pydantic import ValidationError

from api import logs
from api.app import create_app
from models.settings import Settings

WRONG_SETTINGS = 2
"""The exit code of a start that no restart will mend."""


def main() -> int:
    try:
        settings = Settings()
        app = create_app(settings)
    except (ValueError, OSError) as error:
        print(f"the API cannot start: {_sentence(error)}", file=sys.stderr)  # noqa: T201 -- for whoever starts it
        return WRONG_SETTINGS
    logs.configure()
    # Those who wait for a change must not hold up the end for longer than this.
    uvicorn.run(app, host=settings.host, port=settings.port, timeout_graceful_shutdown=5, access_log=False)
    return 0


def _sentence(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        ": ".join([*(f"CLINIC_{str(part).upper()}" for part in one["loc"]), one["msg"].removeprefix("Value error, ")])
        for one in error.errors()
    )


if __name__ == "__main__":
    sys.exit(main())
