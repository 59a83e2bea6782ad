"""What is measured of a recorded step: meters by type of device, a closed table with one for all others."""

import torch

from gradient_clinic.probe.meters.device import DeviceMeter
from gradient_clinic.probe.meters.host import HostMeter
from gradient_clinic.probe.meters.meter import Meter

METERS: dict[str, type[Meter]] = {"cpu": HostMeter}


def meter_for(device: torch.device) -> type[Meter]:
    return METERS.get(device.type, DeviceMeter)
