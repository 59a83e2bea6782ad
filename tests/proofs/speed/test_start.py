"""``make bench`` starts every benchmark by its name."""

import importlib.util

import pytest

from proofs.speed import promises
from proofs.speed.__main__ import command


@pytest.mark.parametrize("name", promises.BENCHMARKS)
def test_every_benchmark_is_a_module_that_can_be_started(name: str) -> None:
    module = command(name)[-1]
    assert importlib.util.find_spec(module) is not None, module
