"""Writers are shared out among processes, and none is lost."""

import pytest

from proofs.speed.ingest import PROCESSES, shares


@pytest.mark.parametrize("writers", [1, 5, 12, 50])
def test_every_writer_has_a_process(writers: int) -> None:
    found = shares(writers)
    assert len(found) == PROCESSES
    assert sum(found) == writers
    assert max(found) - min(found) <= 1
