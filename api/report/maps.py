"""Heat maps of several variants as one drawing: one scale of colours, one axis of steps, words beside them."""

from collections.abc import Mapping
from html import escape

import numpy as np

from api.report.drawings import svg
from gradient_clinic.maps.colours import NOT_FINITE, SILENT, data_uri, scale_limit
from gradient_clinic.maps.heatmaps import HeatMap, last_step, whole

WIDTH, LEFT, RIGHT = 920.0, 60.0, 12.0
TALL, BETWEEN, TOP = 110.0, 44.0, 22.0
LEGEND = 46.0


def heat_maps(maps: Mapping[str, HeatMap]) -> str:
    """By name, first layer at the bottom, each as wide as its share of the steps; nothing where no run has a trace."""
    shown = {name: heat for name, heat in maps.items() if heat.levels.size}
    if not shown:
        return ""
    limit, last = scale_limit([heat.levels for heat in shown.values()]), last_step(shown.values())
    drawn = [
        _one(name, heat, limit, last, TOP + at * (TALL + BETWEEN)) for at, (name, heat) in enumerate(shown.items())
    ]
    height = TOP + len(shown) * (TALL + BETWEEN) + LEGEND
    label = "heat maps of gradients, layer by step: " + ", ".join(shown)
    return svg(WIDTH, height, label, "".join(drawn) + _legend(limit, height - LEGEND + 6))


def _one(name: str, heat: HeatMap, limit: float, last: int, y: float) -> str:
    whole = WIDTH - LEFT - RIGHT
    width = max(whole * (int(heat.steps[-1, 1]) + 1) / (last + 1), 1.0)
    words = (
        f'<text x="{LEFT}" y="{y - 6}" class="name">{escape(name[:80])}</text>'
        f'<text x="{LEFT - 6}" y="{y + 10}" class="tick" text-anchor="end">last</text>'
        f'<text x="{LEFT - 6}" y="{y + TALL}" class="tick" text-anchor="end">first layer</text>'
        f'<text x="{LEFT}" y="{y + TALL + 12}" class="tick">step 0</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y + TALL + 12}" class="tick" text-anchor="end">{last}</text>'
    )
    frame = f'<rect x="{LEFT}" y="{y}" width="{whole}" height="{TALL}" class="frame"/>'
    return words + frame + _image(LEFT, y, width, TALL, data_uri(heat.levels[::-1], limit)) + _broken(heat, y, width)


def _image(x: float, y: float, width: float, height: float, uri: str) -> str:
    """Stretched, and its pixels kept apart."""
    return (
        f'<image x="{x}" y="{y}" width="{width:.1f}" height="{height}" preserveAspectRatio="none" '
        f'class="pixels" href="{uri}"/>'
    )


def _broken(heat: HeatMap, y: float, width: float) -> str:
    """A ring where the first column is that has a value which is not finite."""
    columns = np.flatnonzero((np.isnan(heat.levels) | np.isposinf(heat.levels)).any(axis=0))
    if not columns.size:
        return ""
    x = LEFT + width * (int(columns[0]) + 0.5) / heat.levels.shape[1]
    return f'<circle cx="{x:.1f}" cy="{y + TALL / 2}" r="6" class="broken"/>'


def _legend(limit: float, y: float) -> str:
    share = np.linspace(-1.0, 1.0, 101)
    bar = _image(LEFT, y, 260.0, 12.0, data_uri((np.sign(share) * share**2 * limit)[np.newaxis, :], limit))
    ends = "".join(
        f'<text x="{LEFT + 260 * (at / 4)}" y="{y + 24}" class="tick" text-anchor="middle">{whole(value)}</text>'
        for at, value in enumerate((-limit, -limit / 4, 0.0, limit / 4, limit))
    )
    words = "ln ratio of a layer's gradient to the last hidden one's"
    keys = _key(640.0, y, SILENT, "exactly zero") + _key(740.0, y, NOT_FINITE, "not finite")
    return f'{bar}{ends}<text x="{LEFT + 275}" y="{y + 10}" class="tick">{words}</text>{keys}'


def _key(x: float, y: float, colour: tuple[int, int, int], words: str) -> str:
    fill = f"rgb({','.join(map(str, colour))})"
    square = f'<rect x="{x}" y="{y}" width="12" height="12" fill="{fill}" stroke="#8c959f"/>'
    return f'{square}<text x="{x + 17}" y="{y + 10}" class="tick">{words}</text>'
