"""The probes of networks that are trained as one: a tensor holds what a layer of all of them shows, member by member.

On the CPU alone, where each member's numbers are those of its own probe bit for bit. What a member computes by itself
its own probe sees by its hooks, as ever.
"""

import time
from collections.abc import Sequence
from functools import partial

from torch import Tensor

from gradient_clinic.probe.meters.host import HostMeter, HostMeters
from gradient_clinic.probe.probe import LARGE, Probe, on_gradient


class Together:
    """Of probes whose points are alike: the same layers, shapes and activations, in one order."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.recording = False
        self._probes = probes
        self._large = [point.weight.numel() >= LARGE for point in probes[0].points]
        self._meters = HostMeters([probe.meter for probe in probes if isinstance(probe.meter, HostMeter)])
        self._seconds = 0.0

    def watch(self, index: int, h: Tensor) -> None:
        """Take ``h`` (members, cases, units) as what enters the activation of layer ``index`` of each."""
        began = time.perf_counter()
        self._meters.see_h(index, h.detach())
        on_gradient(h, partial(self._see_delta, index))
        self._seconds += time.perf_counter() - began

    def see_gradient(self, index: int) -> None:
        """Backward has written ∂L/∂W of the layer into each member's ``.grad``."""
        if self._large[index]:
            began = time.perf_counter()
            self._meters.see_gradient(index)
            self._seconds += time.perf_counter() - began

    def settle(self) -> None:
        """Backward has ended: gradients are read now, before a penalty or clipping changes them."""
        for probe in self._probes:
            probe.meter.seen_elsewhere()
            probe.settle()
            probe.overhead_seconds += self._seconds / len(self._probes)
        self._seconds = 0.0

    def _see_delta(self, index: int, delta: Tensor) -> None:
        began = time.perf_counter()
        self._meters.see_delta(index, delta)
        self._seconds += time.perf_counter() - began
