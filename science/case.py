"""One configuration that is trained, and what several lists of them share."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
Part = Literal["grid", "beside", "unseen"]

DIGITS: Final[Json] = {"kind": "digits"}
MNIST: Final[Json] = {"kind": "mnist_5k"}
VOWELS: Final[Json] = {"kind": "japanese_vowels", "standardise": "feature"}
HE: Final[Json] = {"kind": "kaiming_normal"}
DEFAULT: Final[Json] = {"kind": "torch_default"}
SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}
ADAM: Final[Json] = {"kind": "adam", "learning_rate": 0.001}
RMSPROP: Final[Json] = {"kind": "rmsprop", "learning_rate": 0.001}
NADAM: Final[Json] = {"kind": "nadam", "learning_rate": 0.002}


@dataclass(frozen=True, slots=True)
class Case:
    """``family`` is its architecture; by ``part`` choosing and reporting are kept apart."""

    name: str
    family: str
    part: Part
    body: Json

    @property
    def held_out(self) -> bool:
        return self.part == "unseen"


def case(  # noqa: PLR0913 -- a row of a list
    family: str, detail: str, network: Json, optimizer: Json, dataset: Json, *, steps: int = 300, part: Part = "beside"
) -> Case:
    name = f"{family}, {detail}, {optimizer['kind']} {optimizer['learning_rate']:g}"
    body = {"dataset": dataset, "network": network, "optimizer": optimizer, "steps": steps, "batch_size": 64}
    return Case(name, family, part, body)
