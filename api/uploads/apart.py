"""Whether the columns of a table lie so far apart in size that one scale for all of them would leave some constant."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from api.uploads.parts import AnyArray

FAR: Final = 1_000.0


def columns_apart(columns: Sequence[tuple[str, int]], squares: AnyArray) -> dict[str, object] | None:
    """``columns``: each by its name and how many inputs it became; ``squares``: of each input their sum over all cases.
    None where the largest root mean square is less than 1,000 times the smallest. A column of zeros has no size.
    """
    ends = np.cumsum([width for _, width in columns])
    sums = (float(squares[end - width : end].sum()) for (_, width), end in zip(columns, ends, strict=True))
    sizes = {name: sum_ for (name, _), sum_ in zip(columns, sums, strict=True) if 0.0 < sum_ < np.inf}
    if len(sizes) < 2:
        return None
    large, small = max(sizes, key=lambda name: sizes[name]), min(sizes, key=lambda name: sizes[name])
    ratio = float(np.sqrt(sizes[large]) / np.sqrt(sizes[small]))
    return {"large": large, "small": small, "ratio": ratio} if ratio >= FAR else None
