"""Networks as people write them, parts of known ones among them: with an example of what they take."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Made = tuple[nn.Module, Tensor]


class BasicBlock(nn.Module):
    """Of a ResNet (He et al. 2015), as torchvision has it, where the shape stays."""

    def __init__(self, channels: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        result: Tensor = self.relu(out)
        return result


class ResNet(nn.Module):
    def __init__(self, *, projects: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(8), BasicBlock(8))
        if projects:
            self.layer1[1].downsample = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer1(x))
        result: Tensor = self.fc(torch.flatten(x, 1))
        return result


class Vgg(nn.Module):
    """Features, an adaptive mean and a classifier, as torchvision has them, small."""

    def __init__(self, side: int = 2) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        depth = 3
        for channels in (6, "M", 8, 8, "M"):
            if isinstance(channels, str):
                parts.append(nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                parts += [nn.Conv2d(depth, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
                depth = channels
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d((side, side))
        self.classifier = nn.Sequential(
            *(nn.Linear(8 * side**2, 16), nn.ReLU(inplace=True), nn.Dropout(0.5)),
            *(nn.Linear(16, 12), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(12, 5)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        result: Tensor = self.classifier(x.view(x.size(0), -1))
        return result


class PreNorm(nn.Module):
    """x + ½·body(x), and x + body(x) inside a branch: over steps, read out at the last."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.inner = nn.Linear(16, 16)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        h = functional.gelu(self.up(self.norm(x)))
        h = h + torch.tanh(self.inner(h))
        x = x + 0.5 * self.down(h)
        result: Tensor = self.head(x[:, -1])
        return result


class Loops(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module], how: str = "last", **options: Any) -> None:
        super().__init__()
        self.how = how
        self.rnn = kind(3, 6, batch_first=True, **options)
        self.second = nn.GRU(6, 5, batch_first=True)
        self.out = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.rnn(x)
        x, _ = self.second(x)
        x = x[:, -1, :] if self.how == "last" else x.mean(dim=1)
        result: Tensor = self.out(x)
        return result


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix, self.out = nn.Embedding(11, 6), nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.mix(self.table(tokens)).tanh()
        result: Tensor = self.out(x.mean(1))
        return result


class Written(nn.Module):
    """With functions in the place of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, 3, padding="same")
        self.norm = nn.GroupNorm(3, 6)
        self.c, self.d = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.a(x), 0.2)
        x = functional.max_pool2d(x, 2)
        x = functional.silu(self.norm(self.b(x)))
        x = functional.dropout(x, 0.1, training=self.training)
        x = x.mean((2, 3))
        result: Tensor = self.d(self.c(x).sigmoid())
        return result


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.phi, self.out = nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.phi(self.hidden(self.phi(self.hidden(x)))))
        return result


class Overwritten(nn.Module):
    """The stream itself is activated, though the sum seems to take it as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        result: Tensor = self.out(x + self.hidden(self.relu(x)))
        return result


class Aside(nn.Module):
    """What nobody takes is computed, and a stream is changed by the way."""

    def __init__(self, *, changes: bool) -> None:
        super().__init__()
        self.first, self.aside, self.out = nn.Linear(6, 6), nn.Softmax(1), nn.Linear(6, 2)
        self.changes = changes

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        self.aside(x)
        if self.changes:
            x.relu_()
        result: Tensor = self.out(x.tanh())
        return result


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.gate, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x) * self.gate(x).sigmoid()
        result: Tensor = self.out(x * self.scale)
        return result


class Summing(nn.Module):
    """A sum whose branch, or whose stream, is scaled by a number."""

    def __init__(self, factor: float = 1.0, stream: float = 1.0, alpha: float = 1.0) -> None:
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.factor, self.stream, self.alpha = factor, stream, alpha

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x) * self.stream if self.stream != 1.0 else self.first(x)
        branch = self.hidden(x.tanh()) * self.factor
        x = torch.add(x, branch, alpha=self.alpha) if self.alpha != 1.0 else branch + x
        result: Tensor = self.out(x)
        return result


class Otherwise(nn.Module):
    """Another network while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        result: Tensor = self.out(x.tanh() if self.training else x)
        return result


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x)
        result: Tensor = self.out(x if x.sum() > 0 else -x)
        return result


def images(channels: int = 3, side: int = 8) -> Tensor:
    return torch.randn(4, channels, side, side)


def perceptron(*between: nn.Module, width: int = 9) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, width), *between, nn.Linear(width, 5))
