"""The data folder: one holder at a time, and nothing left of those that were killed."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.errors import OccupiedError
from local.folder import Folder


def test_the_second_one_hears_who_is_in_the_way(tmp_path: Path) -> None:
    first = Folder.claim(tmp_path / "clinic")
    first.announce("http://127.0.0.1:8000")
    with pytest.raises(OccupiedError, match=re.escape(f"(process {os.getpid()}, answering at http://127.0.0.1:8000)")):
        Folder.claim(tmp_path / "clinic")
    first.release()


def test_a_folder_given_back_can_be_taken_again(tmp_path: Path) -> None:
    Folder.claim(tmp_path / "clinic").release()
    Folder.claim(tmp_path / "clinic").release()


def test_a_temporary_folder_disappears(tmp_path: Path) -> None:
    Folder.temporary(tmp_path, "trial-").release()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "trial-dead" / "logs").mkdir(parents=True)
    living = Folder.temporary(tmp_path, "trial-")
    second = Folder.temporary(tmp_path, "trial-")
    assert {path.name for path in tmp_path.iterdir()} == {living.path.name, second.path.name}
    living.release()
    second.release()


def test_folders_come_and_go_side_by_side(tmp_path: Path) -> None:
    """One that is being removed has lost its lock file already, and is not taken for a dead one's."""

    def come_and_go(_: int) -> None:
        folder = Folder.temporary(tmp_path, "trial-")
        for name in range(50):
            (folder.path / str(name)).touch()
        folder.release()

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(come_and_go, range(80)))) == 80
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_reads_what_is_inside(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path / "clinic")
    assert folder.path.stat().st_mode & 0o066 == 0
    folder.release()
