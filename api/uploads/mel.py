"""From sound to frames: log mel energies as speech recognisers take them, or the samples as they are.

Mel by O'Shaughnessy's formula, m = 2595·log10(1 + f/700); triangles that meet at their middles; a Hann window.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

WINDOW_S, HOP_S = 0.025, 0.010
BANDS = 40
# Silence stays finite; 16-bit sound has nothing below it.
_FLOOR = 1e-10

Samples = npt.NDArray[np.float32]


def hop_of(rate: int) -> int:
    """Samples from one frame to the next."""
    return round(rate * HOP_S)


def frames_in(samples: int, rate: int, features: str) -> int:
    """How many frames a recording gives: known from its header, before any is made."""
    return max(1, _whole_frames(samples, rate, features))


def _whole_frames(samples: int, rate: int, features: str) -> int:
    hop = hop_of(rate)
    return max(0, samples - _window_of(rate, features) + hop) // hop


def _window_of(rate: int, features: str) -> int:
    return round(rate * WINDOW_S) if features == "log_mel" else hop_of(rate)


def width_of(rate: int, features: str) -> int:
    """Numbers in one frame."""
    return BANDS if features == "log_mel" else hop_of(rate)


def fill(out: Samples, stretches: Iterable[Samples], rate: int, features: str) -> None:
    """Write all frames of a recording to ``out`` (frames, width). No more is held than a stretch of it."""
    made = log_mel if features == "log_mel" else raw_frames
    done, left = 0, np.empty(0, np.float32)
    for stretch in stretches:
        left = np.concatenate([left, stretch])
        count = _whole_frames(len(left), rate, features)
        if count:
            out[done : done + count] = made(left, rate)
        # The rest begins where the next frame does: windows overlap, so some samples are needed again.
        done, left = done + count, left[count * hop_of(rate) :]
    if not done:  # shorter than a window
        out[:] = made(left, rate)


def raw_frames(sound: Samples, rate: int) -> Samples:
    """(frames, hop): the samples, 10 ms in each frame; what does not fill the last one is left out."""
    hop = hop_of(rate)
    count = frames_in(len(sound), rate, "raw")
    return np.pad(sound, (0, max(0, hop - len(sound))))[: count * hop].reshape(count, hop)


def log_mel(sound: Samples, rate: int) -> Samples:
    """(frames, 40): windows of 25 ms, each 10 ms after the one before. Shorter sound is filled with silence."""
    window, hop = _window_of(rate, "log_mel"), hop_of(rate)
    sound = np.pad(sound, (0, max(0, window - len(sound))))
    cut = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    # The next power of two, for the transform's speed; more bins change no band's place.
    size = 1 << (window - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(cut * np.hanning(window), size)))
    return np.log(power @ _filters(rate, size) + _FLOOR).astype(np.float32)


@cache
def _filters(rate: int, size: int) -> npt.NDArray[np.float64]:
    """(bins, 40) triangles, evenly spaced in mel from 0 to half the rate."""
    top = 2595.0 * np.log10(1.0 + rate / 2.0 / 700.0)
    corners = 700.0 * (np.power(10.0, np.linspace(0.0, top, BANDS + 2) / 2595.0) - 1.0)
    frequencies = np.arange(size // 2 + 1)[:, None] * rate / size
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))
