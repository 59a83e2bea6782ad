"""Numbers with their intervals, as the page's table and drawings write them."""

from html import escape

from api.report import ticks
from gradient_clinic.intervals import Estimate
from gradient_clinic.rendering import STUDENTS, rendered


def estimate(value: Estimate | None, style: str) -> str:
    """The mean, and its interval as ± where it is even on both sides; a dash where there is none."""
    if value is None or value.mean is None:
        return "–"
    shown = rendered(value.mean, value.low, value.high, value.method, style)
    interval = ", ".join(part for part in (shown.half or shown.ends, shown.method) if part)
    return f"{shown.mean} {dim(interval)}" if interval else shown.mean


def ratio(value: Estimate | None) -> str:
    """A factor, whose interval is even in its logarithm only."""
    if value is None or value.mean is None:
        return "–"
    mean = f"×{value.mean:.3g}"
    if value.low is None or value.high is None or value.low == value.high:
        return mean
    return f"{mean} {dim(f'×{value.low:.3g} to ×{value.high:.3g}')}"


def in_words(value: Estimate, *, signed: bool = False) -> str:
    """The figure, both ends of its interval, and a bootstrap's method; no HTML."""
    mean, ends = ticks.in_words(value, signed=signed)
    return " ".join([mean, *([f"({ends})"] if ends else []), *([value.method] if value.method not in STUDENTS else [])])


def dim(text: str) -> str:
    return f"<span class=dim>{escape(text)}</span>"
