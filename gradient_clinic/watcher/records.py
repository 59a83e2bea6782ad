"""What is kept of a training of any length: its beginning, then ever fewer records, the newest, and what broke."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array

BEGINNING: Final = 64
MOST: Final = 512
"""Records kept behind the beginning; when there are so many every second goes."""
NEWEST: Final = 21
"""One, and the twenty before it."""
UPDATE: Final = SIGNALS.index("update_ratio")
NONFINITE: Final = SIGNALS.index("nonfinite_count")


@dataclass(frozen=True, slots=True)
class Record:
    """One step: (signals, rows) in the order of ``SIGNALS``, NaN where nothing was measured, and the curves."""

    step: int
    matrix: Array
    curves: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """A loss that nobody gave counts as finite."""
        return not np.nansum(self.matrix[NONFINITE]) and bool(np.isfinite(self.curves.get("loss", 0.0)))


@dataclass(slots=True)
class Records:
    """Bounded: some 600 records of 72 bytes a row."""

    count: int = 0
    first_loss: float = math.nan
    """Of the first record; NaN where none was told."""
    first_broken: Record | None = None
    before_broken: tuple[Record, ...] = ()
    """The last twenty recorded before it."""
    largest_update: Array = field(default_factory=lambda: np.zeros(0))
    """(rows,): NaN where no finite one was recorded."""
    _beginning: list[Record] = field(default_factory=list)
    _later: list[Record] = field(default_factory=list)
    _newest: deque[Record] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _stride: int = 1
    _behind: int = 0

    def add(self, record: Record) -> None:
        if self.first_broken is None and not record.finite:
            self.first_broken, self.before_broken = record, tuple(self._newest)[-(NEWEST - 1) :]
        if not self.count:
            self.first_loss = record.curves.get("loss", math.nan)
        self.count += 1
        self._newest.append(record)
        updates = np.where(np.isfinite(record.matrix[UPDATE]), record.matrix[UPDATE], np.nan)
        self.largest_update = np.fmax(self.largest_update, updates) if self.largest_update.size else updates
        if len(self._beginning) < BEGINNING:
            self._beginning.append(record)
            return
        if self._behind % self._stride == 0:
            self._later.append(record)
        self._behind += 1
        if len(self._later) > MOST:
            self._later = self._later[::2]
            self._stride *= 2

    @property
    def told(self) -> bool:
        """Whether somebody tells the loss, as far as can be known."""
        return not self.count or not math.isnan(self.first_loss)

    def highest_rate(self) -> float:
        """A schedule may have ended at 0, which says nothing of the training."""
        return max((its.curves.get("learning_rate", 0.0) for its in self.kept()), default=0.0)

    def kept(self) -> list[Record]:
        """In the order of steps, each once."""
        broken = [] if self.first_broken is None else [self.first_broken]
        found = {its.step: its for its in (*self._beginning, *self._later, *self.before_broken, *broken, *self._newest)}
        return [found[step] for step in sorted(found)]

    def lead(self) -> list[Record]:
        """The records from step 0 on for as long as every step has one."""
        return [record for at, record in enumerate(self._beginning) if record.step == at]
