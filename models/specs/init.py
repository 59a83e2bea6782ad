"""How weights and biases start. Variances are in mean-field terms where the kind says so."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.specs.base import About, Spec

Positive = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]


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


InitSpec = Annotated[
    TorchDefaultInit
    | XavierNormalInit
    | XavierUniformInit
    | KaimingNormalInit
    | KaimingUniformInit
    | LecunNormalInit
    | OrthogonalInit
    | GaussianInit
    | NormalInit,
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
}
