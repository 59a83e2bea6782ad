"""Remedies that change a recurrent network: its cell, how it begins, how far back its gradient goes. Each is a rewrite
of the spec in ``models/plan/rewrites.py``.
"""

from typing import ClassVar, Literal

from pydantic import Field

from models.specs.base import About, Spec
from models.specs.slots import Slot


class LstmRemedy(Spec):
    kind: Literal["lstm"]
    forget_bias: float = Field(default=1.0, ge=-100, le=100)
    slots: ClassVar[tuple[Slot, ...]] = ("cell", "forget_bias")
    about: ClassVar = About(
        title="LSTM cell",
        formula="c_t = f ⊙ c_(t−1) + i ⊙ g: gradients reach back through f alone",
        paper="Hochreiter & Schmidhuber 1997",
        fails_when="a forget bias of 0 on long sequences: ½ per step; it may still explode",
        treats=("vanishing",),
        applies_to=("rnn",),
    )


class GruRemedy(Spec):
    kind: Literal["gru"]
    slots: ClassVar[tuple[Slot, ...]] = ("cell",)
    about: ClassVar = About(
        title="GRU cell",
        formula="h_t = (1 − z) ⊙ n + z ⊙ h_(t−1)",
        paper="Cho et al. 2014, arXiv:1406.1078",
        fails_when="long sequences from the start: z ≈ ½ halves the gradient per step",
        treats=("vanishing",),
        applies_to=("rnn",),
    )


class IrnnRemedy(Spec):
    """The identity for W_hh with ReLU, small W_ih, no bias."""

    kind: Literal["irnn"]
    slots: ClassVar[tuple[Slot, ...]] = ("cell", "init")
    about: ClassVar = About(
        title="Identity recurrent network",
        formula="W_hh = I, W_ih ~ N(0, 0.001²), b = 0, φ = ReLU",
        paper="Le et al. 2015, arXiv:1504.00941",
        fails_when="a learning rate that pushes an eigenvalue beyond 1: states explode over long sequences",
        treats=("vanishing",),
        applies_to=("rnn",),
    )


class ForgetBiasRemedy(Spec):
    kind: Literal["forget_bias"]
    value: float = Field(default=1.0, ge=-100, le=100)
    slots: ClassVar[tuple[Slot, ...]] = ("forget_bias",)
    about: ClassVar = About(
        title="Forget-gate bias",
        formula="b_f + value in one of the two biases: ∂c_T/∂c_0 ≈ σ(b_f)^T",
        paper="Gers et al. 2000; Jozefowicz et al. 2015",
        fails_when="sequences much longer than 1/(1 − σ(b_f)); tasks that need to forget",
        treats=("vanishing",),
        applies_to=("rnn",),
    )


class TruncatedBpttRemedy(Spec):
    kind: Literal["truncated_bptt"]
    steps: int = Field(default=20, ge=1, le=100_000)
    slots: ClassVar[tuple[Slot, ...]] = ("truncation",)
    about: ClassVar = About(
        title="Truncated backpropagation through time",
        formula="the state is detached after every so many steps",
        paper="Williams & Peng 1990",
        fails_when="dependencies longer than the window: their gradient is cut to zero",
        treats=("exploding",),
        applies_to=("rnn",),
    )
