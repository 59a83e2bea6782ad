"""Heat maps with what has to be known to read them: one scale of colours and one axis of steps for a whole page.

No ``style=``: the page's policy lets in one style sheet, and no attribute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from gradient_clinic.maps.colours import NOT_FINITE, SILENT, Array, data_uri


@dataclass(frozen=True, slots=True)
class HeatMap:
    """r of one run, rows × buckets: ln of each row's rms gradient over the last row's; −∞ where the gradient is exactly
    zero, NaN where it is not finite.

    ``steps`` (buckets, 2): the first and last step of each; ``caption`` names the rows, or says why there are none.
    ``absent``: nothing was ever not finite, and NaN is what was not there: no case of a batch was that long.
    """

    levels: Array
    steps: npt.NDArray[np.int64]
    caption: str
    absent: bool = False


def last_step(maps: Iterable[HeatMap]) -> int:
    """Where the axis of steps of all maps ends."""
    return max((int(one.steps[-1, 1]) for one in maps if one.levels.size), default=0)


def figure(name: str, heat: HeatMap | None, limit: float, last: int) -> str:
    """The map, as wide as its share of the steps 0 … ``last``."""
    if heat is not None and not len(heat.levels):
        return f"<p class=dim>{escape(heat.caption)}.</p>"
    if heat is None or not heat.levels.size:
        return "<p class=dim>No trace yet.</p>"
    share = (int(heat.steps[-1, 1]) + 1) / (last + 1)
    uri = data_uri(heat.levels[::-1], limit, blank=heat.absent)
    label = f"heat map of {escape(name)}: layers by steps"
    return (
        f'<figure><div class=steps><img class=map width="{share:.2%}" alt="{label}" src="{uri}"></div>'
        f"<figcaption>{escape(heat.caption)}, first at the bottom; {_range(heat)}</figcaption></figure>"
    )


def _range(heat: HeatMap) -> str:
    """Which steps were recorded, and from which on something was not finite in every record."""
    finite = np.flatnonzero(~np.isnan(heat.levels).any(axis=0))
    first, last = int(heat.steps[0, 0]), int(heat.steps[-1, 1])
    if heat.absent:
        return f"{_steps(first, last)}; blank where no case of the batch was that long"
    if not finite.size:
        return f"{_steps(first, last)}, not finite"
    if finite[-1] == len(heat.steps) - 1:
        return _steps(first, last)
    return f"{_steps(first, int(heat.steps[finite[-1], 1]))}, then not finite (recorded to step {last})"


def _steps(first: int, last: int) -> str:
    return f"steps {first} to {last}" if last > first else f"step {first}"


def legend(limit: float) -> str:
    """The bar is even in colour, so its quarters stand for a quarter of the limit."""
    share = np.linspace(-1.0, 1.0, 101)
    bar = data_uri((np.sign(share) * share**2 * limit)[np.newaxis, :], limit)
    values = (-limit, -limit / 4, 0.0, limit / 4, limit)
    labels = "".join(f"<span>{whole(value)}</span>" for value in values)
    scale = f'<span class=scale><img class=bar alt="colour scale" src="{bar}"><span>{labels}</span></span>'
    swatches = _swatch(SILENT, "exactly zero: no gradient arrives") + _swatch(NOT_FINITE, "not finite: NaN or overflow")
    return f"{scale} {swatches}"


def whole(value: float) -> str:
    """'+4', '0', '−27': a ratio as the axes of pictures have it."""
    return "0" if round(value) == 0 else f"{value:+.0f}".replace("-", "−")


def _swatch(colour: tuple[int, int, int], words: str) -> str:
    rgb = ",".join(str(part) for part in colour)
    return f'<span class=swatch><svg><rect width="100%" height="100%" fill="rgb({rgb})"/></svg>{words}</span>'
