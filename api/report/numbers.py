"""Numbers with their intervals, as the page's table and drawings write them."""

from html import escape

from gradient_clinic.intervals import Estimate

EVEN = 1e-6
"""A mean that lies in the middle of its bounds to this share of their distance."""


def estimate(its: Estimate | None, style: str) -> str:
    """The mean, and its interval as ± where it is even on both sides; a dash where there is none."""
    if its is None or its.mean is None:
        return "–"
    mean = f"{its.mean:{style}}"
    if its.low is None or its.high is None:
        return mean
    if "BCa" in its.method or not _even(its.mean, its.low, its.high):
        method = f", {its.method}" if "BCa" in its.method else ""
        return f"{mean} {dim(f'{its.low:{style}} to {its.high:{style}}{method}')}"
    half = f"{(its.high - its.low) / 2:{style.replace('+', '')}}"
    return f"{mean} {dim(f'±{half}')}"


def ratio(its: Estimate | None) -> str:
    """A factor, whose interval is even in its logarithm only."""
    if its is None or its.mean is None:
        return "–"
    mean = f"×{its.mean:.3g}"
    return (
        mean
        if its.low is None or its.high is None or its.low == its.high
        else f"{mean} {dim(f'×{its.low:.3g} to ×{its.high:.3g}')}"
    )


def in_words(its: Estimate, style: str) -> str:
    """The figure, its interval, and by which method where that is not Student's; no HTML."""
    text = f"{its.mean:{style}}"
    if its.low is not None and its.high is not None:
        text += f" ({its.low:{style}} to {its.high:{style}})"
    return f"{text} {its.method}" if "BCa" in its.method else text


def dim(text: str) -> str:
    return f"<span class=dim>{escape(text)}</span>"


def _even(mean: float, low: float, high: float) -> bool:
    return abs((low + high) / 2.0 - mean) <= EVEN * (high - low)
