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
SD_002: Final[Json] = {"kind": "normal", "std": 0.02}
SD_003: Final[Json] = {"kind": "normal", "std": 0.03}
SD_025: Final[Json] = {"kind": "normal", "std": 0.25}

SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}
PLAIN_SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.1}
NESTEROV: Final[Json] = {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True}
HEAVY_SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.03, "momentum": 0.95}
ADAM: Final[Json] = {"kind": "adam", "learning_rate": 0.001}
ADAMW: Final[Json] = {"kind": "adamw", "learning_rate": 0.001}
DECAYED: Final[Json] = {"kind": "adamw", "learning_rate": 0.002, "weight_decay": 0.1}
RMSPROP: Final[Json] = {"kind": "rmsprop", "learning_rate": 0.001}
NADAM: Final[Json] = {"kind": "nadam", "learning_rate": 0.002}
RADAM: Final[Json] = {"kind": "radam", "learning_rate": 0.002}
SLOW_RADAM: Final[Json] = {"kind": "radam", "learning_rate": 0.001}
MUON: Final[Json] = {"kind": "muon", "learning_rate": 0.02}


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


def with_rate(optimizer: Json, rate: float) -> Json:
    return {**optimizer, "learning_rate": rate}
