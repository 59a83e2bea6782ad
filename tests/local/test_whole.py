"""`make up` and `make run` as a user meets them: the real processes, from outside."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.folder import Folder
from local.identity import started
from local.ports import free_port
from local.supervisor import is_ready
from tests.local.conftest import ROOT, Eventually

pytestmark = pytest.mark.end_to_end
SMALL = """{"name": "small", "dataset": {"kind": "digits"}, "network": {"kind": "mlp", "depth": 3, "width": 16},
            "optimizer": {"kind": "adam", "learning_rate": 0.001}, "steps": 5, "seeds": [0, 1]}"""


class Up:
    """``make up`` in a data folder and on a port of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.environment = os.environ | {  # noqa: TID251 -- for a process
            "CLINIC_DATA_DIR": str(data_dir),
            "CLINIC_PORT": str(self.port),
            "CLINIC_WORKERS": "1",
        }
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> subprocess.Popen[str]:
        up = subprocess.Popen(self._command("up"), cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert up.stdout is not None
        assert self.address in up.stdout.readline()
        return up

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments), cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def pids(self) -> list[int]:
        texts = [record.read_text() for record in (self.data_dir / "pids").iterdir()]
        return [int(match.group(1)) for text in texts if (match := re.search(r'"pid": (\d+)', text))]

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "local", *arguments]


@pytest.fixture
def up(folder: Folder) -> Iterator[Up]:
    up = Up(folder.path / "clinic")
    yield up
    left = [pid for pid in up.pids() if started(pid) is not None]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_a_second_start_says_who_is_in_the_way_and_ctrl_c_ends_the_first(up: Up) -> None:
    with up.start() as first:
        second = up.call("up")
        assert second.returncode == 1
        assert f"(process {first.pid}, answering at {up.address})" in second.stderr
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    assert up.pids() == []


def test_the_start_after_a_kill_of_everything_works(up: Up, eventually: Eventually) -> None:
    with up.start() as first:
        children = up.pids()
        for pid in (first.pid, *children):
            os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not any(started(pid) for pid in children))
    with up.start() as second:
        assert is_ready(up.address)
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0


def test_a_trial_beside_a_running_clinic_takes_another_place_and_leaves_nothing(up: Up, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(SMALL)
    with up.start() as first:
        trial = up.call("run", str(spec))
        assert trial.returncode == 0, trial.stdout + trial.stderr
        assert re.search(r"(?m)^baseline ", trial.stdout)
        assert is_ready(up.address)
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    assert [path.name for path in up.data_dir.parent.iterdir() if "-run-" in path.name] == []


def test_a_refused_spec_is_explained(up: Up, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(SMALL.replace('"depth": 3', '"depth": -3'))
    trial = up.call("run", str(spec))
    assert trial.returncode == 2
    assert "network.depth = -3" in trial.stdout
