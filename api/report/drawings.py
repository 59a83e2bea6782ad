"""Line and forest plots as inline SVG, drawn from the comparison's own numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.analysis.comparison_parts import ProfileLayer, VariantComparison
from models.analysis.statistics import Estimate

WIDTH, HEIGHT = 300.0, 150.0
LEFT, BOTTOM = 34.0, 20.0
LIMIT = 3.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def profile(layers: Sequence[ProfileLayer], low: float, high: float) -> str:
    """r per layer before training: measured with its interval (points), predicted (line), and the limits ±3."""
    if not layers:
        return ""
    x = Axis(1, max(layer.index for layer in layers), LEFT, WIDTH - 6)
    y = Axis(low, high, HEIGHT - BOTTOM, 6)
    parts = [_band(y, low, high), _line(layers, x, y)]
    parts += [
        _point(x(layer.index), y, layer.at_start, low, high)
        for layer in layers
        if layer.at_start is not None and layer.at_start.mean is not None
    ]
    label = "measured (points, 95 %) and predicted (line) ln ratio to the last hidden layer, by layer"
    return _svg(WIDTH, HEIGHT, label, "".join(parts) + _frame(y, low, high, f"layer 1 to {layers[-1].index}"))


def _band(y: Axis, low: float, high: float) -> str:
    top, bottom = y(min(LIMIT, high)), y(max(-LIMIT, low))
    return f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - 6:.1f}" height="{bottom - top:.1f}" class="band"/>'


def _line(layers: Sequence[ProfileLayer], x: Axis, y: Axis) -> str:
    points = " ".join(
        f"{x(layer.index):.1f},{y(layer.predicted):.1f}" for layer in layers if layer.predicted is not None
    )
    return f'<polyline points="{points}" class="theory"/>'


def _point(x: float, y: Axis, estimate: Estimate, low: float, high: float) -> str:
    assert estimate.mean is not None  # noqa: S101 -- asked only of estimates that have one
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        top, bottom = y(min(estimate.high, high)), y(max(estimate.low, low))
        interval = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="interval"/>'
    return f'{interval}<circle cx="{x:.1f}" cy="{y(estimate.mean):.1f}" r="2.2" class="measured"/>'


def _frame(y: Axis, low: float, high: float, below: str) -> str:
    ticks = [value for value in (low, 0.0, high) if low <= value <= high]
    labels = "".join(
        f'<text x="{LEFT - 4}" y="{y(value) + 3:.1f}" class="tick" text-anchor="end">{value:+.0f}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - 6}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
        for value in dict.fromkeys(ticks)
    )
    return labels + f'<text x="{LEFT}" y="{HEIGHT - 6}" class="tick">{escape(below)}</text>'


def forest(variants: Sequence[VariantComparison], metric: str) -> str:
    """Each remedy's primary result against the baseline with its 95 % interval; the dotted line is no difference."""
    rows = [(variant, estimate) for variant in variants if (estimate := primary(variant)) is not None]
    if not rows:
        return ""
    names, step = 190.0, 26.0
    ends = [value for _, its in rows for value in (its.low, its.high, its.mean) if value is not None]
    reach = max([abs(value) for value in ends] + [0.02]) * 1.05
    x = Axis(-reach, reach, names, 600.0)
    height = step * len(rows) + 30
    parts = [f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 24:.0f}" class="zero"/>']
    for index, (variant, estimate) in enumerate(rows):
        parts.append(_forest_row(variant, estimate, metric, x, 18 + step * index))
    for value in (-reach, 0.0, reach):
        anchor = "middle" if value == 0 else "start" if value < 0 else "end"
        parts.append(
            f'<text x="{x(value):.1f}" y="{height - 6:.0f}" class="tick" text-anchor="{anchor}">{value:+.2g}</text>'
        )
    return _svg(880.0, height, "difference of each remedy to the baseline with its 95 % interval", "".join(parts))


def primary(variant: VariantComparison) -> Estimate | None:
    """The result that the comparison says to read first."""
    versus = variant.versus_baseline
    if versus is None or versus.primary is None:
        return None
    estimate = versus.success_difference if versus.primary == "success_difference" else versus.metric_difference
    return estimate if estimate.mean is not None else None


def _forest_row(variant: VariantComparison, estimate: Estimate, metric: str, x: Axis, y: float) -> str:
    assert estimate.mean is not None and variant.versus_baseline is not None  # noqa: S101, PT018 -- by primary()
    what = "share that trains" if variant.versus_baseline.primary == "success_difference" else metric
    interval, text = "", f"{estimate.mean:+.3g}"
    if estimate.low is not None and estimate.high is not None:
        interval = f'<line x1="{x(estimate.low):.1f}" x2="{x(estimate.high):.1f}" y1="{y}" y2="{y}" class="interval"/>'
        text += f" ({estimate.low:+.3g} to {estimate.high:+.3g})"
    return (
        f'<text x="0" y="{y + 4}" class="name">{escape(variant.name[:28])}</text>{interval}'
        f'<circle cx="{x(estimate.mean):.1f}" cy="{y}" r="4" class="measured"/>'
        f'<text x="615" y="{y + 4}" class="tick">{text} {escape(what)}</text>'
    )


def _svg(width: float, height: float, label: str, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{escape(label)}">'
        f"{inner}</svg>"
    )
