"""Parameters of which each rank has a part (FSDP2): that part as a plain tensor, as the meters read it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gradient_clinic.watcher.rows import Row


def is_sharded(parameter: Tensor) -> bool:
    """Whether it is a DTensor; torch that has none knows the attribute neither."""
    return hasattr(parameter, "_local_tensor")


class Shards:
    """Of a model before its first pass, in which FSDP puts whole parameters in the place of the parts."""

    def __init__(self, model: nn.Module) -> None:
        self._whole: dict[str, Any] = dict(model.named_parameters())
        self._parts = {name: its._local_tensor.detach() for name, its in self._whole.items()}  # noqa: SLF001 -- as above

    @property
    def parts(self) -> list[Tensor]:
        return list(self._parts.values())

    def rows(self, model: nn.Module, rows: Sequence[Row]) -> list[Row]:
        """With the parts in the place of the weights as they are in ``model`` now."""
        names = {id(its): name for name, its in model.named_parameters()}
        return [self._of(row, names.get(id(row.weight))) for row in rows]

    def _of(self, row: Row, name: str | None) -> Row:
        return row if name is None else replace(row, weight=self._parts[name], outputs=self._whole[name].shape[0])

    def take_gradients(self) -> None:
        """Those that the optimiser is about to see."""
        for name, its in self._whole.items():
            self._parts[name].grad = None if its.grad is None else its.grad._local_tensor  # noqa: SLF001 -- as above
