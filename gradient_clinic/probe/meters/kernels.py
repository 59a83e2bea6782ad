"""Reductions of CPU tensors, compiled by numba. One call does in the cache what a dozen operations of torch or numpy
would each have to be dispatched for.

Tensors come as addresses of contiguous memory (an array's view costs ten times as much); the caller keeps them alive.
The type of their entries is that of an array beside them. Squares are summed in float64, so that no square of a
float32 number under- or overflows. A sum's order is the compiler's, and always the same.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from numba import carray, njit, types  # type: ignore[attr-defined]  # it is public, and not exported by name
from numba.core import cgutils
from numba.extending import intrinsic

Integers = npt.NDArray[np.int64] | npt.NDArray[np.int32]
Reals = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Marks = npt.NDArray[np.int32]
Table = npt.NDArray[np.float64]
Tables = npt.NDArray[np.float64]
"""(networks, layers, columns)."""
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

COLUMNS: Final = {
    "activation_rms": (ACTIVATION := 0),
    "activation_gradient_rms": (DELTA := 1),
    "weight_gradient_norm": (GRADIENT := 2),
    "weight_gradient_max": (LARGEST := 3),
    "weight_norm": (WEIGHT := 4),
    "update_ratio": (UPDATE := 5),
    "dead_fraction": (DEAD := 6),
    "saturated_fraction": (SATURATED := 7),
    "nonfinite_count": (NONFINITE := 8),
    "nonfinite_h": (NONFINITE_H := 9),
    "nonfinite_delta": (NONFINITE_DELTA := 10),
    "nonfinite_gradient": (NONFINITE_GRADIENT := 11),
}
"""Of a table with a row per layer: every signal by its name, and three counts whose sum is ``nonfinite_count``. The
numbers stand here and not in ``signals``, as numba keeps compiled code for as long as this file is unchanged."""
SIGN_OFF: Final[dict[int, Integers]] = {
    4: np.array([2**31 - 1], dtype=np.int32),
    8: np.array([2**63 - 1], dtype=np.int64),
}
"""By size of a float: the mask that leaves |x|'s bits."""
SMALLEST_SUM: Final = 1e-280
"""A sum of squares below may have lost squares of float64 numbers to underflow."""


def _compiled(function: Kernel) -> Kernel:
    # Not all of fastmath: it would take NaN and Inf for impossible, and these are data here.
    sums_in_any_order = {"reassoc", "contract", "nsz"}
    try:
        compiled = njit(function, cache=True, error_model="numpy", fastmath=sums_in_any_order)
    except RuntimeError:  # no folder to keep compiled code in: each process compiles for itself
        compiled = njit(function, error_model="numpy", fastmath=sums_in_any_order)
    return compiled  # type: ignore[no-any-return]


@intrinsic
def _pointer(_typing: Any, address: Any) -> Any:
    """An address as ``carray`` wants it."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


@_compiled
def _values(address: int, size: int, zero: Reals) -> Reals:
    """The memory at an address, with entries of ``zero``'s type."""
    return carray(_pointer(address), size, zero.dtype)  # type: ignore[call-arg,return-value]  # numba adds the first


@_compiled
def _sum_of_squares(values: Reals) -> float:
    square = 0.0
    for index in range(values.size):
        wide = np.float64(values[index])
        square += wide * wide
    return square


@_compiled
def _trusted(square: float, values: Reals) -> bool:
    """Whether a sum of squares of these is right: finite, and no float64 square was lost."""
    return SMALLEST_SUM <= square < math.inf or (square == 0.0 and values.itemsize == 4)


@_compiled
def _root(square: float, values: Reals) -> float:
    """‖values‖₂ from their sum of squares; with a scale where that sum cannot be trusted. NaN or Inf as entries are."""
    if _trusted(square, values):
        return math.sqrt(square)
    # The slow way, in two passes: with the largest entry taken out no square under- or overflows.
    largest = 0.0
    for index in range(values.size):
        size = np.float64(abs(values[index]))
        if math.isnan(size):
            return size
        largest = max(largest, size)
    if largest == 0.0 or math.isinf(largest):
        return largest
    square = 0.0
    for index in range(values.size):
        share = np.float64(values[index]) / largest
        square += share * share
    return largest * math.sqrt(square)


@_compiled
def _largest(values: Reals, sign_off: Integers) -> float:
    """max|·|, NaN where an entry is: the bits of |x| are in order as integers, NaN above Inf, and compared at once."""
    bits = values.view(sign_off.dtype)
    most = np.zeros(1, sign_off.dtype)
    so_far, mask = most[0], sign_off[0]
    for index in range(bits.size):
        so_far = max(so_far, bits[index] & mask)
    most[0] = so_far
    return np.float64(most.view(values.dtype)[0])


@_compiled
def _nonfinite(norm: float, values: Reals) -> int:
    """How many entries are NaN or ±Inf: none where their norm is finite."""
    count = 0
    # Counting reads the tensor again, so it is done only where the sum says that there is something to count.
    if not math.isfinite(norm):
        for index in range(values.size):
            count += 0 if math.isfinite(values[index]) else 1
    return count


@_compiled
def _mark_alive(entries: Reals, limits: Reals, alive: Marks) -> None:
    """Of one case, the units that do not lie where φ is flat."""
    for unit in range(alive.size):
        one = entries[unit]
        flat = ((one >= limits[0]) & (one <= limits[1])) | ((one >= limits[2]) & (one <= limits[3]))
        alive[unit] |= np.int32(1) - np.int32(flat)


@_compiled
def _any_alive(entries: Reals, limits: Reals) -> int:
    """Of one unit, whether an entry does not lie where φ is flat."""
    flat = 0
    for index in range(entries.size):
        one = entries[index]
        flat += ((one >= limits[0]) & (one <= limits[1])) | ((one >= limits[2]) & (one <= limits[3]))
    return 1 if flat < entries.size else 0


@_compiled
def _dead(values: Reals, shape: tuple[int, int, int], limits: Reals) -> float:
    """The share of units whose every entry lies in limits 0 … 1 or 2 … 3; NaN lies in neither."""
    cases, units, places = shape
    alive = np.zeros(units, np.int32)
    for case in range(cases):
        first = case * units * places
        # Units lie side by side: one pass along the memory of each case does for all of them.
        if places == 1:
            _mark_alive(values[first : first + units], limits, alive)
        else:
            for unit in range(units):
                alive[unit] |= _any_alive(values[first + unit * places : first + (unit + 1) * places], limits)
    return 1.0 - float(alive.sum()) / units


@_compiled
def _saturated(values: Reals, limits: Reals) -> float:
    """The share of entries at or below limit 4, or at or above 5."""
    count = 0
    for index in range(values.size):
        count += 1 if (values[index] <= limits[4]) | (values[index] >= limits[5]) else 0
    return count / values.size


@_compiled
def _copy(values: Reals, into: Reals) -> None:
    for index in range(values.size):
        into[index] = values[index]


@_compiled
def _square_of_change(values: Reals, before: Reals) -> float:
    square = 0.0
    for index in range(values.size):
        change = np.float64(values[index]) - np.float64(before[index])
        square += change * change
    return square


@_compiled
def norms_of(addresses: Integers, sizes: Integers, zero: Reals) -> Table:
    """‖·‖₂ of each tensor, whose entries are of ``zero``'s type."""
    norms = np.zeros(sizes.size)
    for index in range(sizes.size):
        values = _values(addresses[index], sizes[index], zero)
        norms[index] = _root(_sum_of_squares(values), values)
    return norms


@_compiled
def norm_of(norms: Table) -> float:
    """‖·‖₂ over tensors of these norms."""
    return _root(_sum_of_squares(norms), norms)


@_compiled
def see_h(address: int, shape: tuple[int, int, int], limits: Reals, row: Table) -> None:
    """What h shows, (cases, units, places). ``limits``: see ``_dead`` and ``_saturated``; NaN where φ has none."""
    cases, units, places = shape
    values = _values(address, cases * units * places, limits)
    norm = _root(_sum_of_squares(values), values)
    row[ACTIVATION] = norm / math.sqrt(values.size)
    row[NONFINITE_H] = _nonfinite(norm, values)
    row[DEAD] = 0.0 if math.isnan(limits[0]) else _dead(values, shape, limits)
    row[SATURATED] = 0.0 if math.isnan(limits[4]) else _saturated(values, limits)


@_compiled
def see_delta(address: int, size: int, zero: Reals, row: Table) -> None:
    values = _values(address, size, zero)
    norm = _root(_sum_of_squares(values), values)
    row[DELTA] = norm / math.sqrt(size)
    row[NONFINITE_DELTA] = _nonfinite(norm, values)


@_compiled
def see_weight(weight: int, gradient: int, before: Reals, sign_off: Integers, row: Table) -> None:
    """Norms of W and of ∂L/∂W (address 0: there is none), and W as it is now into ``before``."""
    values = _values(weight, before.size, before)
    _copy(values, before)
    row[WEIGHT] = _root(_sum_of_squares(before), before)
    row[GRADIENT] = row[LARGEST] = row[NONFINITE_GRADIENT] = 0.0
    if gradient != 0:
        values = _values(gradient, before.size, before)
        row[GRADIENT] = _root(_sum_of_squares(values), values)
        row[LARGEST] = _largest(values, sign_off)
        row[NONFINITE_GRADIENT] = _nonfinite(row[GRADIENT], values)


@_compiled
def see_h_of_each(address: int, shape: tuple[int, int, int], limits: Reals, layer: int, tables: Tables) -> None:
    """``see_h`` of networks whose h lie one after another, into row ``layer`` of each one's table."""
    cases, units, places = shape
    for member in range(len(tables)):
        see_h(address + member * cases * units * places * limits.itemsize, shape, limits, tables[member, layer])


@_compiled
def see_delta_of_each(address: int, size: int, zero: Reals, layer: int, tables: Tables) -> None:
    """Likewise ``see_delta``, ``size`` entries of each."""
    for member in range(len(tables)):
        see_delta(address + member * size * zero.itemsize, size, zero, tables[member, layer])


@_compiled
def see_weight_of_each(  # noqa: PLR0913, PLR0917 -- as ``settle``
    weights: Integers,
    gradients: Integers,
    first: int,
    last: int,
    before: Table,
    sign_off: Integers,
    layer: int,
    tables: Tables,
) -> None:
    """Likewise ``see_weight``, with entries ``first`` to ``last`` of each one's row of ``before``."""
    for member in range(len(tables)):
        row = tables[member, layer]
        see_weight(weights[member], gradients[member], before[member, first:last], sign_off, row)


@_compiled
def settle(  # noqa: PLR0913, PLR0917 -- a kernel has no object to keep them in
    weights: Integers,
    gradients: Integers,
    ends: Integers,
    before: Reals,
    sign_off: Integers,
    seen: Marks,
    table: Table,
    others: Table,
) -> float:
    """``see_weight`` of the layers not yet ``seen``, each with its part of ``before`` up to its end. Add up what is not
    finite. Returns ‖·‖₂ over the layers' gradients and over tensors whose norms are ``others``.
    """
    norms = np.empty(len(table) + others.size)
    norms[len(table) :] = others
    first = 0
    for layer in range(len(table)):
        row, last = table[layer], ends[layer]
        # Large weights were read while backward went on.
        if not seen[layer]:
            see_weight(weights[layer], gradients[layer], before[first:last], sign_off, row)
        first = last
        row[NONFINITE] = row[NONFINITE_H] + row[NONFINITE_DELTA] + row[NONFINITE_GRADIENT]
        norms[layer] = row[GRADIENT]
    return norm_of(norms)


@_compiled
def see_changes(weights: Integers, ends: Integers, before: Reals, table: Table) -> None:
    """‖W − before‖ / ‖before‖ of every layer."""
    first = 0
    for layer in range(ends.size):
        row, last = table[layer], ends[layer]
        kept = before[first:last]
        values = _values(weights[layer], kept.size, before)
        square = _square_of_change(values, kept)
        # The difference is made as an array only where its squares were lost.
        norm = math.sqrt(square) if _trusted(square, kept) else _root(square, values.astype(np.float64) - kept)
        row[UPDATE] = norm / row[WEIGHT]
        first = last


@_compiled
def columns_of(table: Table, columns: Integers) -> Table:
    """(columns, layers): some of a table's columns, in the order asked for."""
    rows = np.empty((columns.size, len(table)))
    for row in range(columns.size):
        for layer in range(len(table)):
            rows[row, layer] = table[layer, columns[row]]
    return rows
