"""One configuration that is trained, and the data, weights and optimisers that several lists share."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
Part = Literal["grid", "beside", "unseen"]

DIGITS: Final[Json] = {"kind": "digits"}
MNIST: Final[Json] = {"kind": "mnist_5k"}
VOWELS: Final[Json] = {"kind": "japanese_vowels", "standardise": "feature"}

DEFAULT: Final[Json] = {"kind": "torch_default"}
HE: Final[Json] = {"kind": "kaiming_normal"}
XAVIER: Final[Json] = {"kind": "xavier_normal"}
LECUN: Final[Json] = {"kind": "lecun_normal"}
ORTHOGONAL: Final[Json] = {"kind": "orthogonal", "gain": 1.0}


def sd(value: float) -> Json:
    return {"kind": "normal", "std": value}


def optim(kind: str, rate: float, **more: float) -> Json:
    return {"kind": kind, "learning_rate": rate, **more}


SGD: Final = optim("sgd", 0.05, momentum=0.9)
ADAM: Final = optim("adam", 0.001)


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
