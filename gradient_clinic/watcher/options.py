"""What a watch was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch.amp import GradScaler

from gradient_clinic.watcher.stream import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As ``watch`` takes them."""

    every: float | str
    signals: Literal["all", "weights"]
    layers: str | None
    depth: Sequence[str] | None
    scaler: GradScaler | None
    chance: float | None
    to: Destination | None
