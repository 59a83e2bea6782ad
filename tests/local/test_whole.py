"""`make up` and `make run` as a user meets them: the real processes, from outside."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.folder import Folder
from local.identity import started
from local.ports import free_port
from local.supervisor import is_ready
from tests.eventually import HANGS_S
from tests.local.conftest import Eventually
from tests.processes import PIPE, Done, Process, process, run

pytestmark = [pytest.mark.long, pytest.mark.end_to_end, pytest.mark.timeout(600)]
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

    @contextmanager
    def started(self, stderr: int | None = None) -> Iterator[Process]:
        with process(*self._command("up"), environment=self.environment, stdout=PIPE, stderr=stderr) as up:
            assert up.stdout is not None
            if self.address not in up.stdout.readline():
                pytest.fail("`make up` ended before it was up; its last words are below")
            yield up

    def call(self, *arguments: str) -> Done:
        return run(*self._command(*arguments), environment=self.environment, check=False)

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


def test_beside_a_running_clinic_a_second_one_is_refused_and_a_trial_finds_its_own_place(
    up: Up, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(SMALL)
    with up.started() as first:
        second = up.call("up")
        assert second.returncode == 1
        assert f"(process {first.pid}, answering at {up.address})" in second.stderr
        trial = up.call("run", str(spec))
        assert trial.returncode == 0, trial.stdout + trial.stderr
        assert re.search(r"(?m)^baseline ", trial.stdout)
        first.send_signal(signal.SIGINT)
        assert first.wait(HANGS_S) == 0
    assert up.pids() == []
    assert [path.name for path in up.data_dir.parent.iterdir() if "-run-" in path.name] == []


def test_after_a_kill_of_everything_it_starts_again_and_two_ctrl_c_end_it_at_once(
    up: Up, eventually: Eventually
) -> None:
    with up.started() as first:
        children = up.pids()
        for pid in (first.pid, *children):
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not any(started(pid) for pid in children))
    with up.started(stderr=PIPE) as second:
        assert is_ready(up.address)
        second.send_signal(signal.SIGINT)
        assert second.stderr is not None
        assert "once more ends at once" in second.stderr.readline()
        second.send_signal(signal.SIGINT)
        assert second.wait(HANGS_S) == 128 + signal.SIGINT
