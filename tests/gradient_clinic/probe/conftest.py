"""The probe is tested on networks that the worker trains: on its devices, and with its one thread."""

from tests.worker.conftest import device, one_thread

__all__ = ["device", "one_thread"]
