"""What a process says of an error: one line, and none of its local variables."""

import json
import sys

from tests.processes import run

FAILS = """
import structlog
from models import logs

def connect(password):
    raise ValueError("nobody is there")

logs.configure()
try:
    connect("hidden".upper())
except ValueError:
    structlog.get_logger().exception("it failed", run=1)
"""


def test_an_error_is_a_line_with_its_traceback_and_without_local_variables() -> None:
    done = run(sys.executable, "-c", FAILS)
    (line,) = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["event"], said["run"], said["level"]) == ("it failed", 1, "error")
    assert "nobody is there" in said["exception"]
    assert "HIDDEN" not in line
