"""Per-layer gradient signals of a torch network, step by step: ``attach``, ``record``, ``detach``."""

from gradient_clinic.probe.probe import Probe, StepRecord, attach

__all__ = ["Probe", "StepRecord", "attach"]
