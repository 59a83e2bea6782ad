"""What the rules ask of a network beside its numbers, read from the network itself."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

from torch import nn

from gradient_clinic.layers import Layer
from gradient_clinic.quadrature import gaussian_moments
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array, finite_or_none
from gradient_clinic.verdict.case import Setup
from gradient_clinic.verdict.measurements import LARGEST_RMS
from gradient_clinic.watcher.discovery import CONVOLUTIONS
from gradient_clinic.watcher.rows import Row

H: Final = SIGNALS.index("activation_rms")
GATED: Final = 1.5
"""√σw² that gates bear as tanh bears 1."""
TRANSPOSED: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHT: Final = SIGNALS.index("weight_norm")


def kind_of(model: nn.Module, *, has_skips: bool) -> str:
    """Whose cut of G holds (``gains/limits.py``)."""
    modules = list(model.modules())
    if any("Attention" in type(its).__name__ for its in modules):
        return "transformer"
    if any(isinstance(its, nn.RNNBase) for its in modules):
        return "rnn"
    convolves = any(isinstance(its, CONVOLUTIONS) for its in modules)
    return f"{'residual_' if has_skips else ''}{'cnn' if convolves else 'mlp'}"


def setup_of(rows: Sequence[Row], first: Array, *, has_skips: bool, values: bool) -> Setup:
    """``first``: (signals, rows) of the untrained network."""
    inner = [row.activation for row in rows if row.role in {"hidden", "branch"}]
    placed = [row for row in rows if row.role is not None]
    return Setup(
        activation=next((its for its in inner if its is not None), None),
        has_skips=has_skips,
        positions=max((row.positions for row in placed), default=1),
        batch_size=max((row.cases for row in placed), default=1),
        predicted_gain=None if has_skips else predicted_gain(rows, first),
        first_layer_gain=_first_layer_gain(rows, first),
        weight_gains=(*_gains_of_states(rows, first), *_gains_of_branches(rows, first)),
        values=values,
    )


def predicted_gain(rows: Sequence[Row], first: Array) -> float | None:
    """G that theory gives weights of these sizes at these h, were they drawn at random (Schoenholz et al. 2017): at a
    place where it is applied W sends down ‖W‖² · E[φ'(h)²] of δ's mean square, spread over the entries of the h
    before it. A pooling by maxima changes nothing in that, one by means shrinks δ more. None for norms, fused layers.
    """
    hidden = [index for index, row in enumerate(rows) if row.role == "hidden"]
    gain = 0.0
    for before, index in pairwise(hidden):
        row, size = rows[index], float(first[H, before])
        if row.weight is None or row.normalization or rows[before].normalization:
            return None
        activation = rows[before].activation
        slope = 1.0 if activation is None else gaussian_moments(activation, min(size, LARGEST_RMS) ** 2).slope_square
        square = float(first[WEIGHT, index]) ** 2 * _applied_at(row, rows[before]) / rows[before].entries * slope
        if not square > 0.0 or not math.isfinite(square):
            return None
        gain += math.log(square) / 2.0
    return gain if len(hidden) > 1 else None


def _gains_of_states(rows: Sequence[Row], first: Array) -> Iterator[tuple[str, float, float]]:
    """Of every fused recurrent layer the √σw² that meets its state, of its stack the largest, and the usual one.
    Taggers of 64 units under Adam: RNNs learn at 1.2 and not at 2.3, LSTMs and GRUs at 2.3 and not at 4, at any rate.
    """
    for row in rows:
        module = None if row.place is None else row.place.module
        if row.role == "hidden" and isinstance(module, nn.RNNBase):
            states = [
                float(first[WEIGHT, index]) / math.sqrt(its.weight.shape[0])
                for index, its in enumerate(rows)
                if its.weight is not None and its.name.startswith(f"{row.name}.weight_hh_")
            ]
            yield row.name, max(states, default=0.0), GATED if isinstance(module, nn.LSTM | nn.GRU) else 1.0


def _gains_of_branches(rows: Sequence[Row], first: Array) -> Iterator[tuple[str, float, float]]:
    """Of every layer on a branch without a norm behind it its √σw². A unit is a unit of h, however the weights lie."""
    for index, row in enumerate(rows):
        if row.role == "branch" and row.on_branch and row.weight is not None and row.normalization is None:
            yield row.name, float(first[WEIGHT, index]) / math.sqrt(row.entries / row.positions), 1.0


def _applied_at(row: Row, before: Row) -> int:
    """Positions: those of its own h, and of a transposed convolution those of the h that it is given."""
    module = None if row.place is None else row.place.module
    return before.positions if isinstance(module, TRANSPOSED) else row.positions


def _first_layer_gain(rows: Sequence[Row], first: Array) -> float | None:
    """√σw² of the layer that meets the inputs."""
    if not rows or rows[0].role != "hidden" or rows[0].weight is None or rows[0].normalization:
        return None
    return float(first[WEIGHT, 0]) / math.sqrt(rows[0].outputs or rows[0].weight.shape[0])


def described(  # noqa: PLR0913 -- all that is known of it
    model: nn.Module,
    rows: Sequence[Row],
    layers: Sequence[Layer],
    first: Array,
    *,
    has_skips: bool,
    values: bool,
) -> dict[str, Any]:
    """A network as a service keeps it: kind, layers, setup and parameters, as JSON can say them. ``first``: (signals,
    rows) of the untrained network.
    """
    setup = setup_of(rows, first, has_skips=has_skips, values=values)
    return {
        "kind": kind_of(model, has_skips=has_skips),
        "layers": [_layer(layer) for layer in layers],
        "setup": {
            "activation": None if setup.activation is None else asdict(setup.activation),
            "has_skips": setup.has_skips,
            "positions": setup.positions,
            "batch_size": setup.batch_size,
            "predicted_gain": finite_or_none(setup.predicted_gain),
            "first_layer_gain": finite_or_none(setup.first_layer_gain),
            "weight_gains": [
                {"layer": name, "gain": gain, "usual": usual}
                for name, gain, usual in setup.weight_gains
                if math.isfinite(gain)
            ],
            "values": setup.values,
        },
        "parameters": sum(one.numel() for one in model.parameters()),
    }


def _layer(its: Layer) -> dict[str, Any]:
    return {
        "name": its.name[:200],
        "role": its.role,
        "activation": None if its.activation is None else asdict(its.activation),
        "normalization": its.normalization,
        "resized": its.resized,
    }
