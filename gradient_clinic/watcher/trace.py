"""The records of a watch as the rules of a verdict read them."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from gradient_clinic.layers import Layer
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.watcher.records import NONFINITE, UPDATE, Record
from gradient_clinic.watcher.rows import Row

DELTA: Final = SIGNALS.index("activation_gradient_rms")
NOT_NAMED: Final = 1.0
"""In place of an rms that was never measured, in rows that no rule but that of the first non-finite value reads."""
OF_H: Final = ("activation_rms", "activation_gradient_rms", "dead_fraction", "saturated_fraction")


def trace_of(rows: Sequence[Row], records: Sequence[Record], largest_update: Array) -> RunTrace | None:
    """None where no h on a depth axis was measured in the first record, which the rules read of everything.

    What a step did not measure, as a layer took no part in it, is the median of those that did: the rules know no gaps.
    """
    order = order_of(rows)
    layers = tuple(layer_of(rows[index], records[0].matrix[:, index]) for index in order)
    if not any(layer.role == "hidden" for layer in layers):
        return None
    whole = np.stack([record.matrix[:, order] for record in records], axis=2)  # (signals, rows, records)
    whole[NONFINITE] = np.nan_to_num(whole[NONFINITE])
    met = np.array([rows[index].place is not None for index in order])
    for name in OF_H:
        _fill(whole[SIGNALS.index(name)], whole[NONFINITE] * met[:, None], NOT_NAMED if name.endswith("rms") else 0.0)
    whole[UPDATE] = updates_of(layers, whole[UPDATE])
    loss = np.array([record.curves.get("loss", math.nan) for record in records])
    return RunTrace(
        layers=layers,
        steps=np.array([record.step for record in records]),
        signals=dict(zip(SIGNALS, whole, strict=True)),
        curves={"loss": loss},
        largest_update=updates_of(layers, largest_update[order]),
    )


def order_of(rows: Sequence[Row]) -> list[int]:
    """As they ran, the output last."""
    return sorted(range(len(rows)), key=lambda index: rows[index].role == "output")


def layer_of(row: Row, of_first: Array) -> Layer:
    """``of_first``: its signals in the first record; a layer that took no part there is not on the depth axis."""
    unseen = np.isnan(of_first[DELTA]) and not of_first[NONFINITE] > 0
    role = row.role if row.role is not None and not (unseen and row.role == "hidden") else "branch"
    return Layer(row.name, role, row.activation, row.normalization, resized=row.resized)


def _fill(values: Array, nonfinite: Array, never: float) -> None:
    """(rows, records) in place. Where h or δ is itself not finite, some of its entries were counted."""
    for row, counts in zip(values, nonfinite, strict=True):
        gaps = np.isnan(row) & (counts == 0)
        if gaps.any():
            finite = row[np.isfinite(row)]
            row[gaps] = np.median(finite) if finite.size else never


def updates_of(layers: Sequence[Layer], updates: Array) -> Array:
    """Of a block, the largest of its layers: a stream and a fused layer have no weight of their own row."""
    filled, first = updates.copy(), 0
    for index, layer in enumerate(layers):
        if layer.role == "branch":
            continue
        inside = updates[first : index + 1]
        known = np.where(np.isnan(inside), -np.inf, inside).max(axis=0)
        filled[index] = np.where(np.isnan(updates[index]), np.where(np.isinf(known), np.nan, known), updates[index])
        first = index + 1
    return filled
