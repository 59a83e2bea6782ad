"""The data sets that are drawn, not collected: from the split seed, or the run's where that is null."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.base import About
from models.specs.facts import FOR_SEQUENCES, FOR_TOKENS, FOR_VECTORS, Facts, Scaling, Split, check_numbers

MAX_CASES = 1_000_000
Cases = Annotated[int, Field(ge=10, le=MAX_CASES)]
SingularValue = Annotated[float, Field(gt=0, le=1000)]


class Generated(Split):
    """Drawn to a formula whose scale is meant, so nothing is standardised unless asked for."""

    standardise: Scaling = "none"

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Self:
        facts = self.facts
        labels = {"class": 1, "value": facts.classes, "class_per_step": facts.shape[0]}[facts.target]
        check_numbers(facts.cases, facts.features + labels)
        return self


class AddingSpec(Generated):
    kind: Literal["adding"] = "adding"
    length: int = Field(default=50, ge=2, le=1000)
    cases: Cases = 120_000
    """By default 80 % of them are 1,500 batches of 64: fresh ones all along."""
    about: ClassVar = About(
        title="Adding problem",
        formula="x_t = (u_t ~ U(0,1), m_t), m = 1 at one step of each half; y = Σ m_t·u_t; always saying 1 has MSE 1/6",
        paper="Hochreiter & Schmidhuber 1997; Le et al. 2015, arXiv:1504.00941",
        fails_when="long for a plain RNN, whose error stays at 1/6",
        applies_to=FOR_SEQUENCES,
    )

    @property
    def facts(self) -> Facts:
        # Steps are independent; that their two features have means is what they share.
        alike = {"none": 0.67, "scalar": 0.46, "feature": 0.0}[self.standardise]
        return _generated(self.cases, (self.length, 2), 1, form="sequence", target="value", alike=(alike,))


class CopyMemorySpec(Generated):
    kind: Literal["copy_memory"] = "copy_memory"
    delay: int = Field(default=100, ge=1, le=1000)
    cases: Cases = 20_000
    about: ClassVar = About(
        title="Copying memory problem",
        formula="10 of 8 symbols, delay − 1 blanks, a delimiter, 10 blanks; y = delay + 10 blanks, then the 10 "
        "symbols; without memory the cross entropy is 10·ln 8/(delay + 20)",
        paper="Arjovsky et al. 2016, arXiv:1511.06464",
        fails_when="long for LSTM and plain RNN, whose loss stays at that of no memory",
        applies_to=FOR_TOKENS,
    )

    @property
    def facts(self) -> Facts:
        # Nine classes, as the delimiter is read and never said.
        steps = self.delay + 20
        blank = ((self.delay + 7) / steps,)  # about the share of two steps that are both blank
        more = {"target": "class_per_step", "vocabulary": 10, "alike": blank}
        return _generated(self.cases, (steps,), 9, form="tokens", **more)


class TemporalOrderSpec(Generated):
    kind: Literal["temporal_order"] = "temporal_order"
    length: int = Field(default=100, ge=10, le=1000)
    cases: Cases = 20_000
    about: ClassVar = About(
        title="Temporal order problem",
        formula="X or Y at one step in [0.1, 0.2]·length and at one in [0.5, 0.6]·length among 4 other symbols; "
        "y = XX, XY, YX or YY",
        paper="Hochreiter & Schmidhuber 1997, experiment 6a",
        fails_when="long for a plain RNN, whose loss stays at ln 4",
        applies_to=FOR_TOKENS,
    )

    @property
    def facts(self) -> Facts:
        return _generated(self.cases, (self.length,), 4, form="tokens", vocabulary=8, alike=(0.24,))


class TeacherStudentSpec(Generated):
    kind: Literal["teacher_student"] = "teacher_student"
    inputs: int = Field(default=8, ge=1, le=1024)
    outputs: int = Field(default=8, ge=1, le=1024)
    singular_values: tuple[SingularValue, ...] = Field(default=(3.0, 2.0, 1.0), min_length=1, max_length=1024)
    """Of the teacher; those not given are zero."""
    cases: Cases = 10_000
    about: ClassVar = About(
        title="Linear teacher",
        formula="y = U·S·Vᵀ·x, U and V random orthogonal; over all cases together Σ x·xᵀ/n = 1",
        paper="Saxe et al. 2014, arXiv:1312.6120",
        fails_when="few cases: a part of them is white only nearly, to about √(inputs/cases)",
        applies_to=FOR_VECTORS,
    )

    @model_validator(mode="after")
    def _teacher_exists(self) -> Self:
        most = min(self.inputs, self.outputs)
        if len(self.singular_values) > most:
            message = f"a teacher of {self.inputs} inputs and {self.outputs} outputs has at most {most} singular_values"
            raise ValueError(message)
        if self.cases < self.inputs:
            message = f"{self.cases} cases of {self.inputs} inputs cannot be white; let cases be at least inputs"
            raise ValueError(message)
        return self

    @property
    def facts(self) -> Facts:
        return _generated(self.cases, (self.inputs,), self.outputs, target="value")


class Mnist1dSpec(Generated):
    kind: Literal["mnist_1d"] = "mnist_1d"
    cases: Cases = 5_000
    about: ClassVar = About(
        title="Digit-like curves in one dimension, after MNIST-1D",
        formula="a 12-point curve per class, padded, scaled, shifted, sheared, with smooth and white noise, at "
        "40 points",
        paper="Greydanus 2020, arXiv:2011.14439",
        fails_when="compared with the paper's accuracies: the ten curves are this project's own drawings",
        applies_to=FOR_VECTORS,
    )

    @property
    def facts(self) -> Facts:
        return _generated(self.cases, (40,), 10, alike=(0.69, 0.30, 0.13, 0.08, 0.04, 0.0))


def _generated(cases: int, shape: tuple[int, ...], classes: int, **more: object) -> Facts:
    fixed = {"real": False, "licence": "generated", "source": "generated"}
    return Facts(cases, shape, classes, **fixed, **more)  # type: ignore[arg-type]  # keyword by keyword as Facts has them
