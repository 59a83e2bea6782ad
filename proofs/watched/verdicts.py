"""What a watch says of these networks as they are, and broken on purpose: all weights times 10 and times 0.1, a rate
100 times as high, one layer dead. What is right was seen by training longer and by other rates: it stands beside.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch

from gradient_clinic.verdict.shapes import Cause, RunKind
from gradient_clinic.watcher.report import Report
from proofs.promise import Promise
from proofs.watched.networks import Training, drawn, untold, watched

STEPS: Final = 80
SICK: Final[frozenset[RunKind]] = frozenset({"vanishing", "exploding", "diverged", "dead", "stalled", "slow"})
FINE: Final[frozenset[RunKind]] = frozenset({"healthy"})


@dataclass(frozen=True)
class Right:
    """A kind of ``kinds``, and a cause of ``causes`` where there are any; ``said``: words of a note or sentence."""

    kinds: frozenset[RunKind]
    causes: frozenset[Cause] = frozenset()
    said: str = ""

    def holds(self, report: Report) -> bool:
        found = report.verdict
        if found is None or found.kind not in self.kinds or (self.causes and not self.causes & set(found.causes)):
            return False
        return self.said in " ".join((found.sentence, *report.remarks)) and (
            found.kind != "healthy" or not found.causes
        )


def scaled(by: float) -> Callable[[Training], None]:
    def scale(training: Training) -> None:
        with torch.no_grad():
            for weight in (its for model in training.models for its in model.parameters() if its.dim() > 1):
                weight.mul_(by)

    return scale


def silenced(name: str, value: float) -> Callable[[Training], None]:
    """One parameter of the first network filled with a value."""

    def fill(training: Training) -> None:
        with torch.no_grad():
            training.models[0].get_parameter(name).fill_(value)

    return fill


def as_it_is(_: Training) -> None:
    pass


INITIALISATION: Final = Right(SICK, frozenset({"initialisation"}))
STEPS_ALONE: Final = Right(frozenset({"slow"}), frozenset({"too_few_steps"}))
RATE: Final = Right(SICK, frozenset({"learning_rate"}))
Break = tuple[str, float, Callable[[Training], None], Right]
BREAKS: Final[Mapping[str, tuple[Break, ...]]] = {
    # A norm behind each layer takes a factor of its weights away; what is left of it is a rate as many times off.
    "ResNet-18": (
        ("as it is", 1.0, as_it_is, Right(FINE)),
        ("weights × 10", 1.0, scaled(10.0), Right(FINE)),
        ("weights × 0.1", 1.0, scaled(0.1), RATE),
        ("rate × 100", 100.0, as_it_is, RATE),
        ("a dead branch", 1.0, silenced("layer1.0.bn1.bias", -100.0), Right(FINE, said="layer1.0.conv1")),
    ),
    # It needs 150 steps to leave chance, so after 80 nothing is wrong but that.
    "VGG-16": (
        ("as it is", 1.0, as_it_is, Right(SICK, frozenset({"no_gradient_cause_found", "too_few_steps"}))),
        ("weights × 10", 1.0, scaled(10.0), INITIALISATION),
        ("weights × 0.1", 1.0, scaled(0.1), INITIALISATION),
        ("rate × 100", 100.0, as_it_is, Right(SICK, frozenset({"learning_rate", "dead_units"}))),
        ("a dead layer", 1.0, silenced("features.14.bias", -100.0), Right(SICK, said="features.14")),
    ),
    # Pre-norm blocks: ten times the weights train as well, a tenth moves by more than itself in a step and needs more.
    "GPT-2, 6 blocks": (
        ("as it is", 1.0, as_it_is, Right(FINE)),
        ("weights × 10", 1.0, scaled(10.0), Right(FINE)),
        ("weights × 0.1", 1.0, scaled(0.1), STEPS_ALONE),
        ("weights × 0.03", 1.0, scaled(0.03), STEPS_ALONE),
        ("rate × 100", 100.0, as_it_is, RATE),
        ("weights × 0.1, rate × 100", 100.0, scaled(0.1), RATE),
    ),
    # At any rate × 10 stays at chance; × 0.1 learns at the same rate, after 300 steps.
    "LSTM tagger": (
        ("as it is", 1.0, as_it_is, Right(FINE)),
        ("weights × 10", 1.0, scaled(10.0), INITIALISATION),
        ("weights × 0.1", 1.0, scaled(0.1), INITIALISATION),
        ("rate × 100", 100.0, as_it_is, RATE),
        ("weights × 0.1, rate × 100", 100.0, scaled(0.1), RATE),
    ),
    # Their loss tells nobody whether they train, so it is not told, and gradients alone are judged.
    "DCGAN": (("as it is", 1.0, as_it_is, Right(FINE)), ("weights × 10", 1.0, scaled(10.0), Right(FINE))),
}


def promises(name: str) -> Iterator[Promise]:
    for how, rate, broken, right in BREAKS[name]:
        training = drawn(name, rate)
        broken(training)
        for number, report in enumerate(reports(training)):
            found = report.verdict
            seen = "no verdict" if found is None else f"{found.kind}: {', '.join(found.causes) or 'no cause'}"
            what = f"{name}, {how}" if len(training.models) == 1 else f"{name}, {how}, network {number + 1}"
            yield Promise(what, words(right), seen, right.holds(report))


def words(right: Right) -> str:
    kinds = "not healthy" if right.kinds == SICK else " or ".join(sorted(right.kinds))
    return ", ".join(part for part in (kinds, " or ".join(sorted(right.causes)), right.said) if part)


def reports(training: Training) -> list[Report]:
    watches = watched(training, every=1)
    tell = [watch.loss if training.learns else untold for watch in watches]
    for number in range(STEPS):
        training.step(number, tell)
    for watch in watches:
        watch.close()
    return [watch.reported() for watch in watches]
