"""The phase diagram of mean-field theory as a drawing: where gradients vanish, where they explode, and what parts them.

Poole et al. 2016; Schoenholz et al. 2017. Weights and biases by their variances σw² and σb², without norm or skips.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from api.report.drawings import Axis, svg
from api.report.ticks import round_ticks, tick_words

WIDTH, HEIGHT = 460.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 16.0, 14.0, 40.0
NARROWEST = 4.0
"""The axis of σw² reaches at least so far."""
BEYOND = 1.25


@dataclass(frozen=True, slots=True)
class Point:
    weight_variance: float
    bias_variance: float


def phase_diagram(activation: str, line: Sequence[Point], point: Point | None = None) -> str:
    """``line``: critical points by rising σb²; ``point``: a network to be placed on it."""
    widest = [its.weight_variance for its in (*line, *([point] if point else []))]
    x = Axis(0.0, max(NARROWEST, BEYOND * max(widest, default=0.0)), LEFT, WIDTH - RIGHT)
    tallest = max([1.0, *(its.bias_variance for its in (*line, *([point] if point else [])))])
    y = Axis(0.0, tallest, HEIGHT - BOTTOM, TOP)
    label = f"phase diagram of {activation}: σw² by σb², ordered left of the critical line and chaotic right of it"
    return svg(WIDTH, HEIGHT, label, _regions(line, x, y) + _frame(x, y) + _marked(point, x, y))


def _regions(line: Sequence[Point], x: Axis, y: Axis) -> str:
    if len(line) < 2:
        return f'<text x="{LEFT + 12}" y="{TOP + 20}" class="tick">this activation has no critical line here</text>'
    along = " ".join(f"{x(its.weight_variance):.1f},{y(its.bias_variance):.1f}" for its in line)
    low, high = y(line[0].bias_variance), y(line[-1].bias_variance)
    left = f"{x(0):.1f},{low:.1f} {along} {x(0):.1f},{high:.1f}"
    right = f"{x(x.high):.1f},{low:.1f} {along} {x(x.high):.1f},{high:.1f}"
    words = (
        f'<text x="{x(0) + 12:.1f}" y="{TOP + 22}" class="name">ordered: vanishing</text>'
        f'<text x="{x(x.high) - 8:.1f}" y="{y.start - 12}" class="name" text-anchor="end">chaotic: exploding</text>'
    )
    fields = f'<polygon points="{left}" class="ordered"/><polygon points="{right}" class="chaotic"/>'
    return f'{fields}<polyline points="{along}" class="theory"/>{words}'


def _frame(x: Axis, y: Axis) -> str:
    across = "".join(
        f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 14}" class="tick" text-anchor="middle">{words}</text>'
        for value, words in _ticks(x)
    )
    up = "".join(
        f'<text x="{LEFT - 6}" y="{y(value) + 3:.1f}" class="tick" text-anchor="end">{words}</text>'
        for value, words in _ticks(y)
    )
    names = (
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" class="tick" text-anchor="middle">{escape("σw², variance of weights")}'
        f'</text><text x="4" y="{TOP + 2}" class="tick">σb²</text>'
    )
    box = (
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" class="outline"/>'
    )
    return box + across + up + names


def _ticks(axis: Axis) -> Iterable[tuple[float, str]]:
    values = round_ticks(axis.low, axis.high)
    return zip(values, tick_words(values), strict=True)


def _marked(point: Point | None, x: Axis, y: Axis) -> str:
    if point is None:
        return ""
    return f'<circle cx="{x(point.weight_variance):.1f}" cy="{y(point.bias_variance):.1f}" r="6" class="place"/>'
