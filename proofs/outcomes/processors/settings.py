"""Settings under which everything has to come out as under the processor's own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proofs.outcomes.grouped import WAYS

NATIVE: Final = "native"
WEIGHTS: Final = "weights"


@dataclass(frozen=True, slots=True)
class Setting:
    """``environment`` is read by torch, MKL, oneDNN and numba as their process starts; ``flags`` is what Linux calls
    the instructions that they then use. ``perturbed``: initial weights are moved. ``way``: how runs are trained
    together, by the names of ``grouped``.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    perturbed: bool = False
    way: str | None = None

    def command(self, *arguments: str) -> list[str]:
        # The libraries read these as they are loaded, so each setting needs a process of its own.
        return ["env", *(f"{name}={value}" for name, value in self.environment.items()), sys.executable, *arguments]


def _of_instructions(aten: str, mkl: str, onednn: str, cpu: str, reproducible: str) -> dict[str, str]:
    """MKL heeds its first switch on Intel's processors alone, and ``MKL_CBWR`` on others too."""
    return {
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "MKL_CBWR": reproducible,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": "",
    }


SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting("default", _of_instructions("default", "SSE4_2", "SSE41", "generic", "COMPATIBLE")),
        Setting("avx2", _of_instructions("avx2", "AVX2", "AVX2", "haswell", "AVX2"), frozenset({"avx2", "fma"})),
        Setting(
            "avx512",
            _of_instructions("avx512", "AVX512", "AVX512_CORE", "skylake-avx512", "AVX512"),
            frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
        ),
        Setting(WEIGHTS, perturbed=True),
        *(Setting(way, way=way) for way in WAYS),
    )
}


def lacking(setting: Setting) -> Sequence[str]:
    """The instructions of a setting that this processor lacks. Where Linux does not list them, it counts as lacking
    all.
    """
    listed = Path("/proc/cpuinfo")
    if not listed.exists():
        return sorted(setting.flags)
    flags = next((line for line in listed.read_text().splitlines() if line.startswith("flags")), "")
    return sorted(setting.flags - set(flags.split()))


def ran(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own commands
