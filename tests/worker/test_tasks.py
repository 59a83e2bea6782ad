"""Where torch is loaded: in the parent, for all of its children, but beside a GPU in each child."""

import os
import sys
from pathlib import Path

import pytest

from tests.processes import run

PARENT = """
import sys
from models.settings import Settings
from worker.app import create_app
create_app(Settings()).loader.import_default_modules()
from celery import signals
signals.worker_init.send(sender=None)
print("torch" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no parent loads torch")
@pytest.mark.parametrize(("device", "loads"), [("cpu", "True"), ("gpu", "False")])
def test_the_parent_loads_torch_where_a_fork_may_follow(device: str, loads: str, tmp_path: Path) -> None:
    settings = {
        "CLINIC_DEVICE": device,
        "CLINIC_DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "CLINIC_REDIS_URL": "redis://127.0.0.1:1/0",
        "CLINIC_DATA_DIR": str(tmp_path),
    }
    done = run(sys.executable, "-c", PARENT, environment=os.environ | settings)  # noqa: TID251 -- for a process
    assert done.stdout.strip() == loads
