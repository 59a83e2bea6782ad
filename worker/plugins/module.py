"""The network of a plug-in as the engine trains it: built, followed through one pass, and held to what it may give."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gradient_clinic.watcher.discovery import Found
from gradient_clinic.watcher.following import Following
from gradient_clinic.watcher.guard import Guard
from models.specs.facts import Facts
from models.specs.plugin import PluginNetworkSpec
from worker.networks.network import LayerWeights
from worker.plugins.blame import PluginError, blamed
from worker.plugins.listening import RowProbe
from worker.plugins.shelf import Plugin, Shelf
from worker.randomness import derived_seed, generator


class PluginNetwork(nn.Module):
    """``forward(x, lengths)``: x (cases, …) as the data set gives them; no plug-in is given cases of several lengths.

    Whatever it draws comes from torch's global generator, which begins each pass at a number of the run's own: so a run
    is repeatable, and no draw of a plug-in moves another one.
    """

    def __init__(self, plugin: Plugin, module: nn.Module, seed: int, facts: Facts) -> None:
        super().__init__()
        self.plugin, self.module, self._facts = plugin, module, facts
        self._passes = generator(seed, "plugin", "passes")
        self._found: Found | None = None

    def forward(self, x: Tensor, lengths: None = None) -> Tensor:  # noqa: ARG002 -- as every network is called
        drawn = int(torch.randint(2**62, (), generator=self._passes)) if self.training else 0
        with blamed(self.plugin.key, "forward pass"), drawing_from(drawn, x.device):
            output = self.module(x)
        if (wrong := self._wrong(output, len(x))) is not None:
            raise PluginError(self.plugin.key, wrong)
        result: Tensor = output
        return result

    def follow(self, x: Tensor) -> None:
        """Find the layers in one pass, in the order in which they run. Running moments stay as they were."""
        kept = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        errors: list[Exception] = []
        following = Following(self.module, Guard(errors.append), self._take, None, None)
        self(x)
        following.close()
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
        if errors or self._found is None:
            why = f"{errors[0]!r}" if errors else "no pass of the module itself was seen"
            raise PluginError(self.plugin.key, f"its layers cannot be found: {why}")
        if not any(row.role == "hidden" for row in self.found.rows):
            raise PluginError(self.plugin.key, "it has no hidden layer with weights: there are no gradients to compare")

    @property
    def found(self) -> Found:
        assert self._found is not None  # it was followed
        return self._found

    def _take(self, found: Found) -> None:
        self._found = found

    def attached(self, optimizer: torch.optim.Optimizer) -> RowProbe:
        """Measured from now on."""
        return RowProbe(self.module, self.found, optimizer)

    def masks(self, _device: torch.device) -> torch.Generator:
        """What a run draws from as it goes."""
        return self._passes

    def parameters_of(self, _names: Collection[str]) -> list[nn.Parameter]:
        """No spec of a plug-in freezes layers."""
        return []

    def layer_weights(self) -> LayerWeights:
        """Of those that its code lets learn, and that took part in the pass."""
        trained = [(row, row.weight) for row in self.found.rows if row.weight is not None and row.odd is None]
        trained = [(row, weight) for row, weight in trained if weight.requires_grad]
        hidden = [weight for row, weight in trained if row.role != "output"]
        output = next((weight for row, weight in trained if row.role == "output"), None)
        tables = {id(its.weight) for its in self.module.modules() if isinstance(its, nn.Embedding | nn.EmbeddingBag)}
        return LayerWeights(hidden, output, [weight for weight in hidden if id(weight) not in tables])

    @property
    def numbers_per_case(self) -> int:
        """Of all h, and of as many activations."""
        return sum(2 * row.entries for row in self.found.rows if row.place is not None)

    def _wrong(self, output: object, cases: int) -> str | None:
        steps = self._facts.shape[:1] if self._facts.target == "class_per_step" else ()
        expected = (cases, *steps, self._facts.classes)
        if not isinstance(output, Tensor):
            return f"its forward pass gave a {type(output).__name__}; it has to give a tensor {expected}"
        if tuple(output.shape) != expected:
            return f"its forward pass gave a tensor {tuple(output.shape)}; it has to give {expected}"
        return None


def build(spec: PluginNetworkSpec, facts: Facts, seed: int, shelf: Shelf) -> PluginNetwork:
    """With its weights drawn under the seed, on the CPU, in the type that its code gives them."""
    plugin = shelf[spec.key]
    parameters = plugin.parameters(spec.parameters)
    with blamed(plugin.key, "building it"), drawing_from(derived_seed(seed, "plugin", "weights"), torch.device("cpu")):
        module = plugin.make(parameters, facts.shape, facts.classes)
    if not isinstance(module, nn.Module):
        raise PluginError(plugin.key, f"it gave a {type(module).__name__}; it has to give an nn.Module")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise PluginError(plugin.key, "its module has no parameter that learns")
    return PluginNetwork(plugin, module, seed, facts)


@contextmanager
def drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators begin at ``seed``, and are afterwards as they were before."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)  # noqa: TID251 -- a stranger's code knows no other
        yield
