"""How much of a busy processor the processes that train may take, beside those that answer."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_OF_THE_SESSION: Final = Path("/proc/self/autogroup")


def step_back(niceness: int) -> None:
    """Let others of this machine go first where there are more of them than cores; 0: change nothing. Call it in a
    process that trains, before it has threads.
    """
    if niceness == 0:
        return
    os.nice(niceness)
    # Where Linux shares the processor among sessions first, niceness counts within one alone. This one has a niceness
    # of its own, which is set where the worker has begun it; in a terminal it is also that of the shell.
    if os.getsid(0) == os.getppid():
        with suppress(OSError):  # there is none, or none that may be set
            _OF_THE_SESSION.write_text(str(niceness))
