"""What is measured of a recorded step: meters by type of device, a closed table with one for all others.

The table is empty without numba: then the meter for devices reduces CPU tensors too, by torch alone. Its numbers are
the same up to rounding, and recording takes longer.
"""

import torch

from gradient_clinic.probe.meters.device import DeviceMeter
from gradient_clinic.probe.meters.meter import Meter

METERS: dict[str, type[Meter]] = {}
try:
    from gradient_clinic.probe.meters.host import HostMeter
except ModuleNotFoundError as missing:
    if missing.name != "numba":
        raise
else:
    METERS["cpu"] = HostMeter


def meter_for(device: torch.device) -> type[Meter]:
    return METERS.get(device.type, DeviceMeter)
