"""A watch as a callback of Lightning's ``Trainer``, which has to be installed."""

from typing import Any

from lightning.pytorch import Callback
from torch import Tensor, nn

from gradient_clinic.watcher.watch import LOG, Watch, watch


class LightningWatch(Callback):  # type: ignore[misc]  # not installed where types are checked
    """``Trainer(callbacks=[LightningWatch()])``. ``options`` as ``watch`` takes them; ``watch`` is there from the
    beginning of the training on, and its report is logged at the end.

    ``module``: the name of what is watched in the LightningModule, where that has more than one network and its own
    forward pass is not what trains.
    """

    def __init__(self, module: str | None = None, **options: Any) -> None:
        self.watch: Watch | None = None
        self._module, self._options = module, options

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        model = _network(pl_module) if self._module is None else pl_module.get_submodule(self._module)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.watch = watch(model, trainer.optimizers, **{"scaler": scaler, **self._options})

    def on_before_backward(self, trainer: Any, _: nn.Module, loss: Tensor) -> None:
        """Lightning has divided it by the parts of a step, and scaled it."""
        if self.watch is not None:
            scaler = self.watch.options.scaler
            factor = trainer.accumulate_grad_batches / (1.0 if scaler is None else scaler.get_scale())
            self.watch.loss(loss if factor == 1.0 else loss * factor)

    def on_train_end(self, _trainer: Any, _: nn.Module) -> None:
        if self.watch is not None:
            self.watch.close()
            LOG.info(self.watch.report())


def _network(module: nn.Module) -> nn.Module:
    """The one child that has parameters, as a training step may call it and not the module's own forward pass."""
    children = [child for child in module.children() if next(child.parameters(), None) is not None]
    alone = len(children) == 1 and not list(module.parameters(recurse=False))
    return children[0] if alone else module
