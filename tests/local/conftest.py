"""A data folder of the test's own, and a way to wait for processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cluster import Cluster
from local.folder import Folder
from tests import eventually as waiting
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
    return waiting.eventually
