"""The probe under the name that its users import: ``worker.probe.attach(model, optimizer)``."""

from gradient_clinic.probe import Probe, StepRecord, attach

__all__ = ["Probe", "StepRecord", "attach"]
