"""What is measured of a recorded step: meters by type of device, a closed table with one for all others."""

import torch

from worker.measures.base import Meter
from worker.measures.device import DeviceMeter
from worker.measures.host import HostMeter

METERS: dict[str, type[Meter]] = {"cpu": HostMeter}


def meter_for(device: torch.device) -> type[Meter]:
    return METERS.get(device.type, DeviceMeter)
