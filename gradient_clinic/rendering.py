"""An estimate in figures: its mean, its interval, and the method where a reader would take it for Student's.

Nothing here needs numpy or scipy: whoever shows answers in a terminal loads neither.
"""

from dataclasses import dataclass
from typing import Final

STUDENTS: Final = frozenset({"t", "paired t"})
"""Methods of an interval that lies evenly around its mean; all others are bootstraps."""
EVEN: Final = 1e-6
"""A mean lies in the middle of its bounds to this share of their distance."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """``half``: '±0.02' where the mean lies in the middle of Student's interval; else ``ends``: '0.90 to 0.97'.
    Both are '' without bounds. ``method``: '' unless it is a bootstrap.
    """

    mean: str
    half: str = ""
    ends: str = ""
    method: str = ""


def rendered(mean: float, low: float | None, high: float | None, method: str, style: str) -> Rendered:
    """``style``: a format of one number, as '+.1f'; half an interval has no sign."""
    text = f"{mean:{style}}"
    if low is None or high is None:
        return Rendered(text)
    if method not in STUDENTS:
        return Rendered(text, ends=f"{low:{style}} to {high:{style}}", method=method)
    if abs((low + high) / 2.0 - mean) > EVEN * (high - low):  # Student's, cut at what is possible: an accuracy of 1
        return Rendered(text, ends=f"{low:{style}} to {high:{style}}")
    return Rendered(text, half=f"±{(high - low) / 2.0:{style.replace('+', '')}}")
