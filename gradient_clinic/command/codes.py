"""What ``gradient-clinic`` ends with."""

from typing import Final

WELL: Final = 0
FOUND: Final = 1
"""``check`` has found something; of an experiment, nothing trains."""
MISUSED: Final = 2
"""It cannot be asked so, or was refused. Also what argparse ends with."""
RAISED: Final = 3
"""The model, its loss, or what makes them has raised; or the service has not answered."""
LATE: Final = 124
"""The time to wait is over, as ``timeout`` ends then."""

INTERRUPTED: Final = 130
"""By Ctrl-C, as a shell says it."""


class MisusedError(Exception):
    """What was asked for cannot be."""
