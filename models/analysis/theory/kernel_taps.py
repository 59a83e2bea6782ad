"""Which pixels a convolution reads, and on the way back which outputs read a pixel: borders and strides counted."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradient_clinic.values import Array
from models.analysis.theory.initial_variance import centre_only
from models.plan import LayerPlan


@functools.lru_cache(maxsize=256)
def _taps(places: int, kernel: int, stride: int, padding: int) -> Array:
    """(places after, places before): 1 where a kernel placed on one reads the other; what is outside reads as zero."""
    after = (places + 2 * padding - kernel) // stride + 1
    offset = np.arange(places)[None, :] - (np.arange(after)[:, None] * stride - padding)
    return ((offset >= 0) & (offset < kernel)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Window:
    """Which pixels a convolution reads, along rows and columns of an image."""

    kernel: int
    stride: int
    padding: int

    @classmethod
    def centre(cls, kernel: int, stride: int, padding: int) -> "Window":
        """Of a kernel that is zero but at its centre."""
        return cls(1, stride, padding - kernel // 2)

    def read(self, image: Array) -> Array:
        """Sum over the kernel at each output pixel."""
        rows, columns = self._sides(*image.shape)
        # A sum over a square is one along rows and one along columns: two small products, whatever the kernel's area.
        return rows @ image @ columns.T

    def send(self, image: Array, given: tuple[int, ...]) -> Array:
        """Back to the ``given`` pixels: the sum over the outputs that read each."""
        rows, columns = self._sides(*given)
        return rows.T @ image @ columns

    def _sides(self, height: int, width: int) -> tuple[Array, Array]:
        row = _taps(height, self.kernel, self.stride, self.padding)
        return row, _taps(width, self.kernel, self.stride, self.padding)


def inputs_of(layer: LayerPlan) -> int:
    """How many inputs σw² is counted over."""
    return layer.fan_in // layer.kernel_size**2 if centre_only(layer) else layer.fan_in


def taps_of(layer: LayerPlan, given: tuple[int, ...]) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """(reading, sending back): per output the mean over a full kernel's taps; back the sum over outputs."""
    if layer.kind != "conv2d":
        return (lambda x: x), (lambda delta: delta)
    sides = layer.kernel_size, layer.stride, layer.padding
    window = Window.centre(*sides) if centre_only(layer) else Window(*sides)
    return (lambda x: window.read(x) / window.kernel**2), (lambda delta: window.send(delta, given))
