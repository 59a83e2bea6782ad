"""The phase diagram of mean-field theory as a drawing: where gradients vanish, where they explode, and what parts them.

Poole et al. 2016; Schoenholz et al. 2017. Weights and biases by their variances σw² and σb², without norm or skips.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.report.drawings import Axis, svg, tick
from api.report.ticks import round_ticks, tick_words

WIDTH, TALLEST, ASPECT = 460, 420.0, 0.72
"""Its height is so large a share of its width, up to the tallest."""
LEFT, RIGHT, TOP, BOTTOM = 36.0, 16.0, 24.0, 40.0
NARROWEST = 4.0
"""The axis of σw² reaches at least so far."""
BEYOND = 1.25


@dataclass(frozen=True, slots=True)
class Point:
    weight_variance: float
    bias_variance: float


def phase_diagram(activation: str, line: Sequence[Point], point: Point | None = None, width: float = WIDTH) -> str:
    """``line``: critical points by rising σb²; ``point``: a network to be placed on it."""
    widest = [its.weight_variance for its in (*line, *([point] if point else []))]
    x = Axis(0.0, max(NARROWEST, BEYOND * max(widest, default=0.0)), LEFT, width - RIGHT)
    tallest = max([1.0, *(its.bias_variance for its in (*line, *([point] if point else [])))])
    height = round(min(ASPECT * width, TALLEST))
    y = Axis(0.0, tallest, height - BOTTOM, TOP)
    label = f"phase diagram of {activation}: σw² by σb², ordered left of the critical line and chaotic right of it"
    return svg(width, height, label, _regions(line, x, y) + _frame(x, y) + _marked(point, x, y))


def _regions(line: Sequence[Point], x: Axis, y: Axis) -> str:
    if len(line) < 2:
        return tick(x.start + 12, y.end + 20, "this activation has no critical line here")
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
    across = "".join(tick(x(value), y.start + 15, words, "middle") for value, words in _ticks(x))
    up = "".join(tick(x.start - 6, y(value) + 4, words, "end") for value, words in _ticks(y))
    names = tick((x.start + x.end) / 2, y.start + 32, "σw², variance of weights", "middle")
    names += tick(x.start, y.end - 8, "σb², variance of biases")
    size = f'width="{x.end - x.start}" height="{y.start - y.end}"'
    return f'<rect x="{x.start}" y="{y.end}" {size} class="outline"/>' + across + up + names


def _ticks(axis: Axis) -> Iterable[tuple[float, str]]:
    values = round_ticks(axis.low, axis.high)
    return zip(values, tick_words(values), strict=True)


def _marked(point: Point | None, x: Axis, y: Axis) -> str:
    if point is None:
        return ""
    return f'<circle cx="{x(point.weight_variance):.1f}" cy="{y(point.bias_variance):.1f}" r="6" class="place"/>'
