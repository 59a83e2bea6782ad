"""From one followed pass to the rows that are watched, and to the depth axis among them.

The depth axis of a plain network is its layers. Where there are residual streams it is the layers outside them and the
stream behind every block; what lies on a branch, or makes a gate, is recorded beside it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

from torch import nn

from gradient_clinic.watcher.flow import Called, Passed, Sum, is_layer, norm_of
from gradient_clinic.watcher.rows import Held, Place, Row, Side, name_of, weights_of

RECTIFIERS = frozenset({"identity", "relu", "leaky_relu"})
MOST_SUMS = 3
"""Of one module that is a block: a decoder's has three. A module with more runs the blocks itself."""
CONVOLUTIONS = (nn.modules.conv._ConvNd,)  # noqa: SLF001 -- no public base


@dataclass(frozen=True, slots=True)
class Found:
    """``h``: by row, what was met at its place."""

    rows: tuple[Row, ...]
    h: tuple[Held | None, ...]
    has_skips: bool


@dataclass(frozen=True, slots=True)
class _Spot:
    """A row, what was met at its place, and where in the order of the pass it stands."""

    order: float
    row: Row
    h: Held | None = None
    of_layer: bool = True


def weight_rows(model: nn.Module, layers: str | None = None) -> Found:
    """Every weight and no place, in the order of registration: without a pass to be followed."""
    rows = [_Spot(0, row) for name, module in _layers(model) for row in _weights(name, module)]
    return _found(_asked_for(rows, layers), has_skips=False)


def find_rows(model: nn.Module, passed: Passed, layers: str | None, *, asked: bool) -> Found:
    """``layers``: a regular expression that the names of rows have to match; ``asked``: the depth axis is what
    ``passed.asked`` has, and not what is found.
    """
    branch = reduce(or_, (its.branch for its in passed.sums), 0)
    has_skips = any(not its.gate for its in passed.sums)
    spots = list(_of_layers(passed, branch))
    if asked:
        spots = _as_asked(spots, passed)
    elif has_skips:
        spots += _of_streams(passed)
    else:
        spots = list(_before_norms(spots))
    spots = [_without_gradient(spot) for spot in sorted(spots, key=lambda spot: spot.order)]
    spots = [*_with_output(spots, model, passed), *_unused(model, passed)]
    return _found(_asked_for(spots, layers), has_skips=has_skips)


def _asked_for(spots: list[_Spot], layers: str | None) -> list[_Spot]:
    """The output always: what comes down from the loss is measured there."""
    return [its for its in spots if layers is None or its.row.role == "output" or re.search(layers, its.row.name)]


def _found(spots: Sequence[_Spot], *, has_skips: bool) -> Found:
    spots = list(_resized(_unshared(spots)))
    rows = tuple(_sized(spot) for spot in spots)
    return Found(rows, tuple(spot.h if spot.row.place is not None else None for spot in spots), has_skips)


def _sized(spot: _Spot) -> Row:
    if spot.h is None or spot.row.place is None or len(spot.h.shape) < 2:
        return spot.row
    cases, units = spot.h.shape[0], spot.h.shape[spot.row.place.unit_axis]
    entries = spot.h.shape.numel() // max(cases, 1)
    return replace(spot.row, cases=cases, positions=entries // max(units, 1), entries=entries)


def _unshared(spots: Iterable[_Spot]) -> Iterator[_Spot]:
    """A weight that several modules have is measured with the first."""
    first: dict[int, str] = {}
    for spot in spots:
        row = spot.row
        owner = first.setdefault(id(row.weight), row.name)
        if row.weight is not None and owner != row.name:
            shared = replace(row, weight=None, note=f"shares its weight with {owner}", odd="shared")
            spot = replace(spot, row=shared)  # noqa: PLW2901
        if spot.row.weight is not None or spot.row.place is not None:
            yield spot


def _resized(spots: Iterable[_Spot]) -> Iterator[_Spot]:
    """Maps whose channels or resolution differ from those of the hidden layer before."""
    before: tuple[int, ...] | None = None
    for spot in spots:
        if spot.row.role != "hidden" or spot.h is None:
            yield spot
            continue
        now = tuple(spot.h.shape[1:]) if len(spot.h.shape) == 4 else None
        changed = before is not None and now is not None and before != now
        yield replace(spot, row=replace(spot.row, resized=True)) if changed else spot
        before = now


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        owns = norm_of(module) is None and next(weights_of(module), None) is not None
        inside = name.rpartition(".")[0]
        if owns and not isinstance(model.get_submodule(inside) if name else None, nn.MultiheadAttention):
            yield name_of(name), module


def _weights(name: str, module: nn.Module, note: str = "") -> list[Row]:
    """A row per weight: by the module's name where it is the one of a layer, which then may have a place as well."""
    found = list(weights_of(module))
    if len(found) == 1 and is_layer(module):
        return [Row(name, found[0][1], None, note=note)]
    return [Row(f"{name}.{own}".removeprefix("."), weight, None, note=note) for own, weight in found]


def _of_layers(passed: Passed, branch: int) -> Iterator[_Spot]:
    for index, call in enumerate(passed.calls):
        name = name_of(call.name)
        if isinstance(call.module, nn.Embedding | nn.EmbeddingBag):
            yield from (_Spot(index, row) for row in _weights(name, call.module, "an embedding: weights alone"))
            continue
        *beside, last = _weights(name, call.module)
        if beside:  # several weights, one h
            beside, last = [*beside, last], Row(name, None, None)
        yield from (_Spot(index, row) for row in beside)
        yield _Spot(index, _placed(last, call, on_branch=bool(branch >> index & 1)), call.h)


def _placed(row: Row, call: Called, *, on_branch: bool) -> Row:
    if call.h is None:
        return replace(row, note="gives no tensor: weights alone")
    axis = 1 if isinstance(call.module, CONVOLUTIONS) else -1
    return replace(
        row,
        place=Place(call.seen_in, unit_axis=axis, changed_in_place=call.h.changed_in_place),
        role="branch" if on_branch else "hidden",
        activation=call.activation,
        normalization=call.normalization,
        note=f"used {call.uses} times in a pass: h and δ of the last" if call.uses > 1 else "",
    )


def _before_norms(spots: Sequence[_Spot]) -> Iterator[_Spot]:
    """A layer without a norm whose size the norm of a later layer takes away, as the first one of a DCGAN's critic: its
    δ is as large as its h is small, which says nothing of depth, so it is beside the axis. Size passes through
    rectifiers; a bounded φ has a size of its own.
    """
    normed = [index for index, spot in enumerate(spots) if spot.row.role == "hidden" and spot.row.normalization]
    for index, spot in enumerate(spots):
        before = spot.row.role == "hidden" and not spot.row.normalization and bool(normed) and index < normed[-1]
        if before and (spot.row.activation is None or spot.row.activation.function in RECTIFIERS):
            note = "the norm of a later layer takes its size away"
            yield replace(spot, row=replace(spot.row, role="branch", on_branch=False, note=note))
        else:
            yield spot


def _of_streams(passed: Passed) -> Iterator[_Spot]:
    """The stream behind every block: what a module with residual sums gives; or, where one module runs all the blocks,
    what meets the next module.
    """
    by_owner: dict[str, list[Sum]] = {}
    for its in passed.sums:
        if not its.gate:
            by_owner.setdefault(its.inside[-1] if its.inside else "", []).append(its)
    blocks = {owner for owner, sums in by_owner.items() if owner in passed.blocks and len(sums) <= MOST_SUMS}
    for owner, sums in by_owner.items():
        if any(outer in blocks for outer in sums[0].inside[:-1]):
            continue
        if owner in blocks:
            yield _stream(sums[-1].order, name_of(owner), passed.blocks[owner], "output")
        else:
            met = ((its.order, its.met_by) for its in sums)
            yield from (_stream(order, f"before {name_of(by[0])}", by[1:], "input") for order, by in met if by)


def _as_asked(spots: list[_Spot], passed: Passed) -> list[_Spot]:
    """The axis is the modules that were asked for: what they give, or where one is a layer its own h."""
    asked, layers = {name_of(name) for name in passed.asked}, {spot.row.name for spot in spots}
    named = [replace(spot, row=_row_as_asked(spot.row, asked)) for spot in spots]
    others = ((name_of(name), its) for name, its in passed.asked.items() if name_of(name) not in layers)
    return [*named, *(_stream(order, name, seen, "output") for name, (order, *seen) in others)]


def _row_as_asked(row: Row, asked: AbstractSet[str]) -> Row:
    if row.role is None:
        return row
    if row.name in asked:
        return replace(row, role="hidden")
    return replace(row, role="branch", on_branch=row.role == "branch")


def _stream(order: int, name: str, seen: Sequence[Any], side: Side) -> _Spot:
    module, h = seen
    place = Place(module, side, unit_axis=1 if len(h.shape) == 4 else -1, changed_in_place=h.changed_in_place)
    row = Row(name, None, place, "hidden", note="on the depth axis")
    return _Spot(order - 0.5, row, h, of_layer=False)


def _without_gradient(spot: _Spot) -> _Spot:
    if spot.h is None or spot.h.requires_grad:
        return spot
    return _Spot(spot.order, replace(spot.row, place=None, role=None, note="no gradient comes here: weights alone"))


def _with_output(spots: list[_Spot], model: nn.Module, passed: Passed) -> list[_Spot]:
    """The last layer gives the output; where a stream ends behind it, the model does."""
    met = [index for index, spot in enumerate(spots) if spot.row.place is not None]
    if met and spots[met[-1]].of_layer:
        last = spots[met[-1]]
        row = replace(last.row, role="output", activation=None)
        return [*spots[: met[-1]], replace(last, row=row), *spots[met[-1] + 1 :]]
    if passed.output is None or not passed.output.requires_grad:
        return spots
    row = Row("output", None, Place(model), "output", note="what the model gives")
    return [*spots, _Spot(len(passed.calls), row, passed.output)]


def _unused(model: nn.Module, passed: Passed) -> Iterator[_Spot]:
    ran = {id(call.module) for call in passed.calls}
    for name, module in _layers(model):
        if id(module) in ran:
            continue
        if is_layer(module):
            rows = [replace(row, odd="unused") for row in _weights(name, module, "took no part in the pass")]
        else:
            rows = _weights(name, module, "applied beside its layers: weights alone")
        yield from (_Spot(0, row) for row in rows)
