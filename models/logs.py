"""What a process of the clinic says: a line of JSON per event, on stderr."""

import logging
import sys

import structlog

_NAME = "clinic"


def configure() -> None:
    """Tracebacks without local variables, as one of them may be a key or a password.

    By way of the standard library, whose handlers let no error out: a full disk must end no run.
    """
    handler = logging.StreamHandler(sys.__stderr__)  # Celery puts a logger of its own in the place of sys.stderr
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(_NAME)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: logger,
    )
