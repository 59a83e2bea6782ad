"""Prefect as a newcomer starts it: the flow of ``examples/prefect`` as a script, on a server of its own."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from local.supervisor import ROOT
from proofs.promise import Promise
from proofs.schedulers.scene import LONGEST_S, Scene

PYTHON: Final = ROOT / ".clinic-schedulers" / "prefect" / "bin" / "python"
EXPERIMENT: Final = "from prefect"
FLOW: Final = ROOT / "examples" / "prefect"
TWICE: Final = """
from flow import SPEC, submit
from prefect import flow

@flow
def twice():
    return {submit.fn(SPEC | {"name": "twice from prefect"}) for _ in range(2)}

twice()
"""
"""As a task does that is tried again after its answer was lost."""


def promises(scene: Scene) -> Iterator[Promise]:
    # Without a server's address Prefect starts one for the script, on SQLite in PREFECT_HOME.
    code, said = _ran(scene, str(FLOW / "flow.py"))
    yield Promise("prefect: the flow ends", "exit 0", f"exit {code}", code == 0)
    told = said.partition(" succeeded: ")[2].partition("\n")[0]
    yield scene.same_answer("prefect", EXPERIMENT, told)
    code, _ = _ran(scene, "-c", TWICE)
    yield Promise("prefect: it submits twice in a run of a flow", "exit 0", f"exit {code}", code == 0)
    yield scene.one_experiment("prefect", "twice from prefect")


def _ran(scene: Scene, *arguments: str) -> tuple[int, str]:
    """Exit status and all that was printed. What the user has of Prefect is hidden."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(scene.folder.path),
        "PYTHONPATH": str(FLOW),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PREFECT_HOME": str(scene.folder.path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "CLINIC_URL": scene.address,
        "CLINIC_API_KEY": scene.key,
    }
    try:
        done = subprocess.run(  # noqa: S603 -- our own command
            (str(PYTHON), *arguments), env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        return 124, str(error)
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
    return done.returncode, done.stdout + done.stderr
