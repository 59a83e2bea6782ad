"""How weights and biases start. Variances are in mean-field terms where the kind says so."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.base import About, Spec

Positive = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
Entry = Annotated[float, Field(ge=-1e6, le=1e6)]


class TorchDefaultInit(Spec):
    kind: Literal["torch_default"] = "torch_default"
    about: ClassVar = About(
        "PyTorch's default for nn.Linear",
        "W and b ~ U(±1/√fan_in), so fan_in·Var W = 1/3",
        "kaiming_uniform_(a=√5) in torch.nn.Linear",
        "deep networks: every activation vanishes (rms ratio 0.408 per layer for ReLU, 0.577 for tanh)",
    )


class XavierNormalInit(Spec):
    kind: Literal["xavier_normal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        "Xavier (Glorot), normal",
        "W ~ N(0, gain²·2/(fan_in + fan_out)), b = 0",
        "Glorot & Bengio 2010",
        "ReLU halves the variance in every layer; a sigmoid still vanishes (χ = 0.056)",
        ("initialisation",),
    )


class XavierUniformInit(Spec):
    kind: Literal["xavier_uniform"]
    gain: Positive = 1.0
    about: ClassVar = About(
        "Xavier (Glorot), uniform",
        "W ~ U(±gain·√(6/(fan_in + fan_out))), b = 0",
        "Glorot & Bengio 2010",
        "as Xavier normal",
        ("initialisation",),
    )


Mode = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["linear", "relu", "leaky_relu", "tanh", "selu", "sigmoid"]


class KaimingNormalInit(Spec):
    kind: Literal["kaiming_normal"]
    nonlinearity: Nonlinearity = "relu"
    mode: Mode = "fan_in"
    about: ClassVar = About(
        "He (Kaiming), normal",
        "W ~ N(0, gain²/fan), gain² = 2 for ReLU, b = 0",
        "He et al. 2015, arXiv:1502.01852",
        "tanh and sigmoid: not their critical point; residual sums double the variance per block",
        ("initialisation", "vanishing"),
    )


class KaimingUniformInit(Spec):
    kind: Literal["kaiming_uniform"]
    nonlinearity: Nonlinearity = "relu"
    mode: Mode = "fan_in"
    about: ClassVar = About(
        "He (Kaiming), uniform",
        "W ~ U(±gain·√(3/fan)), gain² = 2 for ReLU, b = 0",
        "He et al. 2015, arXiv:1502.01852",
        "as He normal",
        ("initialisation", "vanishing"),
    )


class LecunNormalInit(Spec):
    kind: Literal["lecun_normal"]
    about: ClassVar = About(
        "LeCun, normal",
        "W ~ N(0, 1/fan_in), b = 0",
        "LeCun et al. 1998; Klambauer et al. 2017",
        "any activation but SELU and the identity",
        ("initialisation",),
    )


class OrthogonalInit(Spec):
    kind: Literal["orthogonal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        "Orthogonal",
        "the smaller Gram matrix of W is gain²·I, b = 0",
        "Saxe et al. 2013, arXiv:1312.6120",
        "ReLU at gain 1 (halves the variance per layer); a gain that does not fit the activation",
        ("initialisation", "vanishing", "exploding"),
    )


class GaussianInit(Spec):
    kind: Literal["gaussian"]
    weight_variance: NonNegative
    bias_variance: NonNegative = 0.0
    distribution: Literal["normal", "uniform"] = "normal"
    about: ClassVar = About(
        "Mean-field (σw², σb²)",
        "Var W = σw²/fan_in, Var b = σb²",
        "Poole et al. 2016; Schoenholz et al. 2017, arXiv:1611.01232",
        "(σw², σb²) off the critical line: gradients vanish below it and explode above it",
        ("initialisation",),
    )


class NormalInit(Spec):
    kind: Literal["normal"]
    std: NonNegative
    about: ClassVar = About(
        "Fixed standard deviation",
        "W ~ N(0, std²), b = 0",
        "Ioffe & Szegedy 2015 (std 0.01), arXiv:1502.03167",
        "blind to width and depth: σw² = fan_in·std²",
        ("initialisation",),
    )


class UniformInit(Spec):
    kind: Literal["uniform"]
    low: Entry
    high: Entry
    about: ClassVar = About(
        "Uniform between two numbers",
        "W ~ U(low, high), Var W = (high − low)²/12, b = 0",
        "LeCun et al. 1998, Efficient BackProp",
        "blind to width and depth: σw² = fan_in·(high − low)²/12; a mean other than 0 pushes all units one way",
        ("initialisation",),
    )

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            message = "low must lie below high; constant has one value for all weights"
            raise ValueError(message)
        return self


class ConstantInit(Spec):
    kind: Literal["constant"]
    value: Entry
    about: ClassVar = About(
        "One value for all weights",
        "W = value, b = 0",
        "Goodfellow et al. 2016, Deep Learning, 8.4",
        "all units of a layer stay equal, as nothing tells them apart: the network learns as one of width 1, or not",
    )


class IdentityInit(Spec):
    kind: Literal["identity"]
    gain: Positive = 1.0
    about: ClassVar = About(
        "Identity",
        "W = gain·I, as far as W is square; a convolution passes each channel through its centre (Dirac); b = 0",
        "Le et al. 2015, arXiv:1504.00941",
        "units stay alike: what enters two of them equally never differs",
        ("initialisation", "vanishing"),
    )


class DeltaOrthogonalInit(Spec):
    kind: Literal["delta_orthogonal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        "Delta-orthogonal",
        "a convolution's kernel is 0 but at its centre, which is orthogonal; other weights are orthogonal; b = 0",
        "Xiao et al. 2018, arXiv:1806.05393",
        "ReLU; a gain that does not fit the activation; channels that shrink",
        ("initialisation", "vanishing", "exploding"),
    )


class LsuvInit(Spec):
    kind: Literal["lsuv"]
    tolerance: float = Field(default=0.1, gt=0, lt=1)
    max_iterations: int = Field(default=10, ge=1, le=100)
    about: ClassVar = About(
        "Layer-sequential unit variance",
        "orthonormal W, then W ← W/√Var(h) on the first training batch, layer by layer; b = 0",
        "Mishkin & Matas 2015, arXiv:1511.06422",
        "forward only: δ is not looked at; depends on one batch",
        ("initialisation", "vanishing", "exploding"),
    )


class FixupInit(Spec):
    kind: Literal["fixup"]
    about: ClassVar = About(
        "Fixup",
        "He; in each of the L branches of m layers the last W = 0, the others · L^(−1/(2m − 2)); output W = 0; b = 0",
        "Zhang et al. 2019, arXiv:1901.09321",
        "networks without residual branches; the paper's scalar biases and multipliers are left out",
        ("initialisation", "exploding"),
        ("mlp", "residual_mlp", "cnn", "residual_cnn", "transformer"),
    )


class Gpt2Init(Spec):
    kind: Literal["gpt2"]
    std: Positive = 0.02
    about: ClassVar = About(
        "GPT-2",
        "W ~ N(0, std²); the last W of each of the N residual branches · 1/√N; b = 0",
        "Radford et al. 2019",
        "post-norm; blind to width; without residual branches it is a fixed deviation",
        ("initialisation", "exploding"),
        ("mlp", "residual_mlp", "cnn", "residual_cnn", "transformer"),
    )


InitSpec = Annotated[
    TorchDefaultInit
    | XavierNormalInit
    | XavierUniformInit
    | KaimingNormalInit
    | KaimingUniformInit
    | LecunNormalInit
    | OrthogonalInit
    | GaussianInit
    | NormalInit
    | UniformInit
    | ConstantInit
    | IdentityInit
    | DeltaOrthogonalInit
    | LsuvInit
    | FixupInit
    | Gpt2Init,
    Field(discriminator="kind"),
]
INITS: dict[str, type[Spec]] = {
    "torch_default": TorchDefaultInit,
    "xavier_normal": XavierNormalInit,
    "xavier_uniform": XavierUniformInit,
    "kaiming_normal": KaimingNormalInit,
    "kaiming_uniform": KaimingUniformInit,
    "lecun_normal": LecunNormalInit,
    "orthogonal": OrthogonalInit,
    "gaussian": GaussianInit,
    "normal": NormalInit,
    "uniform": UniformInit,
    "constant": ConstantInit,
    "identity": IdentityInit,
    "delta_orthogonal": DeltaOrthogonalInit,
    "lsuv": LsuvInit,
    "fixup": FixupInit,
    "gpt2": Gpt2Init,
}
