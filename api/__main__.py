"""``python -m api``: serve on ``CLINIC_HOST`` and ``CLINIC_PORT`` until told to stop."""

import sys

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from models.settings import Settings


def main() -> None:
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        sys.exit("; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors()))
    except ValueError as error:
        sys.exit(str(error))
    # Those who wait for a change must not hold up the end for longer than this.
    uvicorn.run(app, host=settings.host, port=settings.port, timeout_graceful_shutdown=5, access_log=False)


if __name__ == "__main__":
    main()
