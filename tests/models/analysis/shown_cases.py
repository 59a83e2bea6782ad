"""Comparisons of one variant with the baseline, one for each grade, and which difference each is shown by."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.analysis.comparison.compare import Comparison, RunRow, Trial, compare
from models.analysis.comparison.parts import Degree, ShownBy
from tests.models.analysis.synthetic import CHANCE, DEEP_HE, LEARNED, summary_of, variants_of

NAME = "batch_norm"
Arm = Sequence[tuple[float, float, float]]
"""G, final loss, accuracy of each seed."""
SPREAD = 0.002
SICK, WELL = (-9.0, CHANCE, 0.1), (0.0, LEARNED, 0.9)


def arm(loss: float, metric: float, further: float = 0.0) -> Arm:
    """Five seeds with ``further`` more accuracy, by a little more in each next one."""
    return [(0.0, loss, metric + further + SPREAD * seed + (0.0002 * seed if further else 0.0)) for seed in range(5)]


LOW, HIGH = arm(2.0, 0.2), arm(LEARNED, 0.9)
"""Of which none trains, and of which all do; the last of them has 0.008 more accuracy than the first."""


@dataclass(frozen=True)
class Case:
    """``told``: of the variant in the answer, as an expression; ``digest``: of every run's trace."""

    name: str
    baseline: Arm
    ours: Arm
    degree: Degree | None
    shown_by: ShownBy | None
    told: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None

    def compared(self) -> Comparison:
        spec, variants = variants_of(
            {"kind": NAME}, network=DEEP_HE, **{"seeds": {"count": len(self.baseline)}, **self.asked}
        )
        rows = [
            RunRow(variant.name, seed, "succeeded", dataclasses.replace(summary, trace_digest=self.digest))
            for variant, arm in zip(variants, (self.baseline, self.ours), strict=True)
            for seed, (gain, loss, metric) in enumerate(arm)
            for summary in [summary_of(variant.plan, gain, gain, loss, **{"test_metric": metric, **self.facts})]
        ]
        return compare(Trial("e", spec, variants, rows))


CASES = [
    Case("repairs", [SICK] * 5, [WELL] * 5, "repairs", "success_difference", "repairs it: trains in 5 of 5 runs"),
    Case("seems to repair", [SICK], [WELL], "repairs", "success_difference", "seems to repair it: trains in 1 of 1"),
    Case("no longer trains", [WELL] * 5, [SICK] * 5, "harms", "success_difference", "harms it: trains in 0 of 5 runs"),
    Case(
        "higher metric, all train",
        HIGH,
        arm(LEARNED, 0.9, 0.05),
        "improves",
        "metric_difference",
        r"improves it: accuracy differs by \+0\.05",
    ),
    Case(
        "lower metric, all train",
        HIGH,
        arm(LEARNED, 0.9, -0.05),
        "harms",
        "metric_difference",
        "harms it: accuracy differs by −0.04",
    ),
    Case(
        "higher metric, none trains",
        LOW,
        arm(2.0, 0.2, 0.2),
        "improves",
        "metric_progress",
        r"improves it: gets 0\.2.* further on the way from chance to accuracy 1",
    ),
    Case(
        "lower loss, none trains",
        [(0.0, 2.0 + 0.002 * seed, 0.2) for seed in range(5)],
        [(0.0, 1.5 + 0.003 * seed, 0.2) for seed in range(5)],
        "improves",
        "loss_progress",
        r"improves it: gets 0\.2.* further on the way from chance to loss 0",
    ),
    Case(
        "higher loss, none trains",
        [(0.0, 1.5 + 0.002 * seed, 0.2) for seed in range(5)],
        [(0.0, 2.0 + 0.003 * seed, 0.2) for seed in range(5)],
        "harms",
        "loss_progress",
        r"harms it: stays 0\.2.* behind on the way from chance to loss 0",
    ),
    Case(
        "slightly higher metric, all train",
        HIGH,
        arm(LEARNED, 0.9, 0.005),
        "no_difference_shown",
        "metric_difference",
        r"Too small to matter: batch_norm \(accuracy differs by \+0\.005",
    ),
    Case(
        "slightly higher metric, none trains",
        LOW,
        arm(2.0, 0.2, 0.005),
        "no_difference_shown",
        "metric_progress",
        r"Too small to matter: batch_norm \(gets 0\.005.* further on the way from chance to accuracy 1",
    ),
    Case(
        "no difference, all train",
        HIGH,
        HIGH[::-1],
        "no_difference_shown",
        "metric_difference",
        "No difference shown: batch_norm",
    ),
    Case(
        "no difference, none trains",
        LOW,
        LOW[::-1],
        "no_difference_shown",
        "success_difference",
        "No difference shown: batch_norm",
    ),
    Case(
        "no difference, all train, no metric known",
        HIGH,
        HIGH,
        "no_difference_shown",
        "loss_progress",
        "No difference shown: batch_norm",
        facts={"test_metric": math.nan},
    ),
    Case(
        "nothing changed, all train",
        HIGH,
        HIGH,
        "changes_nothing",
        "metric_difference",
        "Changed nothing here, .*: batch_norm",
        digest="0",
    ),
    Case(
        "untrained",
        [SICK] * 5,
        [WELL] * 5,
        "repairs",
        "gradients",
        "repairs it: gradients healthy before training",
        asked={"steps": 0, "epochs": None},
    ),
    Case(
        "untrained and no difference",
        [SICK] * 5,
        [SICK] * 5,
        "no_difference_shown",
        None,
        "No difference shown: batch_norm",
        asked={"steps": 0, "epochs": None},
    ),
    Case("not run", [SICK] * 5, [], None, None, "No run has ended of: batch_norm"),
]
