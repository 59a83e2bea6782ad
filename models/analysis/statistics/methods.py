"""By which method the interval of a mean over seeds was had. ``Estimate.method`` gives the name."""

from enum import StrEnum
from typing import Final


class Method(StrEnum):
    """Paired: of differences. IQM: of the interquartile mean, which few heavy values do not move."""

    T = "t"
    BCA = "BCa"
    IQM_BCA = "IQM, BCa"
    PAIRED_T = "paired t"
    PAIRED_BCA = "paired BCa"
    PAIRED_IQM_BCA = "paired IQM, BCa"


PAIRED: Final = {
    Method.T: Method.PAIRED_T,
    Method.BCA: Method.PAIRED_BCA,
    Method.IQM_BCA: Method.PAIRED_IQM_BCA,
}
