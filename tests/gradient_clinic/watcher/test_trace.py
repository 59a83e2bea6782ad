"""Records as the rules read them: without gaps, with a role for every row, blocks that update as their layers do."""

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from gradient_clinic.signals import SIGNALS
from gradient_clinic.verdict.measurements import first_nonfinite
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.watcher.records import Record
from gradient_clinic.watcher.rows import Place, Row
from gradient_clinic.watcher.trace import trace_of

PLACE = Place(nn.Identity())
WEIGHT = nn.Parameter()
ROWS = (
    Row("embedding", WEIGHT, None),
    Row("stem", WEIGHT, PLACE, "hidden"),
    Row("branch.0", WEIGHT, PLACE, "branch"),
    Row("branch.1", WEIGHT, PLACE, "branch"),
    Row("block", None, PLACE, "hidden"),
    Row("output", WEIGHT, PLACE, "output"),
    Row("late", WEIGHT, PLACE, "hidden"),
)


def record(step: int, **changed: Sequence[float]) -> Record:
    """All signals 1 and nothing broken, but for some rows of some signals."""
    matrix = np.ones((len(SIGNALS), len(ROWS)))
    matrix[SIGNALS.index("nonfinite_count")] = 0.0
    for name, row in changed.items():
        matrix[SIGNALS.index(name)] = row
    return Record(step, matrix, {"loss": 1.0})


def traced(*records: Record) -> RunTrace:
    found = trace_of(ROWS, records, records[-1].matrix[SIGNALS.index("update_ratio")])
    assert found is not None
    return found


def test_the_output_is_last_and_what_has_no_h_is_beside_the_axis() -> None:
    layers = traced(record(0)).layers
    assert [layer.name for layer in layers] == ["embedding", "stem", "branch.0", "branch.1", "block", "late", "output"]
    assert [layer.role for layer in layers] == ["branch", "hidden", "branch", "branch", "hidden", "hidden", "output"]


def test_a_layer_that_the_untrained_network_did_not_use_is_beside_the_axis() -> None:
    late = [1.0] * 6 + [math.nan]
    layers = traced(record(0, activation_gradient_rms=late), record(1)).layers
    assert {layer.name: layer.role for layer in layers}["late"] == "branch"


def test_what_a_step_did_not_measure_is_the_median_of_what_others_did() -> None:
    sizes = [1.0, 2.0, 9.0]
    records = [record(step, activation_rms=[math.nan, size, *[1.0] * 5]) for step, size in enumerate(sizes)]
    records.insert(2, record(7, activation_rms=[math.nan, math.nan, *[1.0] * 5]))
    found = traced(*records)
    np.testing.assert_array_equal(found.signals["activation_rms"][1], [1.0, 2.0, 2.0, 9.0])
    np.testing.assert_array_equal(found.signals["activation_rms"][0], 1.0)
    assert first_nonfinite(found) is None


def test_a_value_that_is_not_finite_is_no_gap() -> None:
    broken = record(1, activation_rms=[1, 1, math.nan, 1, 1, 1, 1], nonfinite_count=[0, 0, 3, 0, 0, 0, 0])
    found = first_nonfinite(traced(record(0), broken))
    assert found is not None
    assert (found.step, found.layer, found.where) == (1, "branch.0", "forward")
    weight_alone = record(1, activation_rms=[math.nan, 1, 1, 1, 1, 1, 1], nonfinite_count=[2, 0, 0, 0, 0, 0, 0])
    found = first_nonfinite(traced(record(0), weight_alone))
    assert found is not None
    assert (found.layer, found.where) == ("embedding", "backward")


def test_a_block_updates_as_the_layer_in_it_that_updates_most() -> None:
    updates = [0.5, math.nan, 0.1, 0.3, math.nan, 0.2, math.nan]
    found = traced(record(0, update_ratio=updates))
    expected = [0.5, 0.5, 0.1, 0.3, 0.3, math.nan, 0.2]
    np.testing.assert_array_equal(found.signals["update_ratio"][:, 0], expected)
    np.testing.assert_array_equal(found.largest_update, expected)


def test_without_an_axis_there_is_no_trace() -> None:
    assert trace_of(ROWS[:1], [Record(0, record(0).matrix[:, :1], {})], np.ones(1)) is None
