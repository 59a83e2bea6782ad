"""A data folder of the test's own, and a way to wait for processes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cluster import Cluster
from local.folder import Folder
from tests.conftest import with_copy

ROOT = Path(__file__).parent.parent.parent
Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def folder(cluster: Cluster) -> Iterator[Folder]:
    folder = with_copy(Folder.temporary(ROOT, ".clinic-test-"), cluster)
    yield folder
    folder.release()


@pytest.fixture
def eventually() -> Eventually:
    """Whether a condition becomes true within half a minute; on an idle machine it is a moment."""

    def wait(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return condition()

    return wait
