"""What remedies do while the file trains: a closed table, the keys of ``RUN_TIME`` of ``worker/remedies``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from models.specs.remedy import RemedySpec

HIDDEN: Final = 'weights_of(net, "output")'


@dataclass(slots=True)
class Acts:
    """The lines that remedies put before the first step, on gradients in this order, and beside the update."""

    rate: str
    """The name of the learning rate in force."""
    before: list[str] = field(default_factory=list)
    penalties: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    clipping: list[str] = field(default_factory=list)
    decay: list[str] = field(default_factory=list)
    precision: Any = None

    @property
    def on_gradients(self) -> list[str]:
        return [*self.penalties, *self.rules, *self.clipping]


def _l2(remedy: Any, acts: Acts) -> None:
    acts.penalties.append(f"l2({_layers(remedy)}, {remedy.strength!r})")


def _weight_decay(remedy: Any, acts: Acts) -> None:
    acts.decay += [
        "with torch.no_grad():",
        f"    for weight in {_layers(remedy)}:",
        f"        weight.mul_(1.0 - {acts.rate} * {remedy.strength!r})",
    ]


def _layers(remedy: Any) -> str:
    return HIDDEN if remedy.layers == "hidden" else "weights_of(net)"


def _orthogonal_penalty(remedy: Any, acts: Acts) -> None:
    acts.penalties.append(f"orthogonal_penalty({HIDDEN}, {remedy.strength!r})")


def _clip_norm(remedy: Any, acts: Acts) -> None:
    acts.clipping.append(f"clip_norm(gradients, {remedy.max_norm!r})")


def _clip_value(remedy: Any, acts: Acts) -> None:
    acts.clipping.append(f"clip_value(gradients, {remedy.max_value!r})")


def _agc(remedy: Any, acts: Acts) -> None:
    acts.clipping.append(f"agc(net, parameters, {remedy.clipping!r}, {remedy.eps!r})")


def _ema_clip(remedy: Any, acts: Acts) -> None:
    acts.before.append(f"clipping = EmaClip(z={remedy.z!r}, decay={remedy.decay!r}, warm_up={remedy.warm_up})")
    acts.clipping.append("clipping.clip(gradients)")


def _gradient_centralization(_: Any, acts: Acts) -> None:
    acts.rules.append("gradient_centralization(gradients)")


def _warm_up(_: Any, __: Acts) -> None:
    """It is a factor of the rate (``updating.py``)."""


def _mixed_precision(remedy: Any, acts: Acts) -> None:
    acts.precision = remedy
    if remedy.dtype == "float16":
        acts.before.append(f"scaling = LossScale({remedy.initial_scale!r}, {remedy.growth_interval})")


ACTING: dict[str, Callable[[Any, Acts], None]] = {
    "l2": _l2,
    "weight_decay": _weight_decay,
    "orthogonal_penalty": _orthogonal_penalty,
    "clip_norm": _clip_norm,
    "clip_value": _clip_value,
    "agc": _agc,
    "ema_clip": _ema_clip,
    "gradient_centralization": _gradient_centralization,
    "warm_up": _warm_up,
    "mixed_precision": _mixed_precision,
}


def acts_of(run_time: tuple[RemedySpec, ...], rate: str) -> Acts:
    acts = Acts(rate)
    for remedy in run_time:
        ACTING[remedy.kind](remedy, acts)
    return acts
