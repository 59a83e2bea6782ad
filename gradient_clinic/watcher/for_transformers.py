"""A watch as a callback of the ``Trainer`` of transformers, which has to be installed."""

from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback

from gradient_clinic.watcher.guard import Hook
from gradient_clinic.watcher.watch import LOG, Watch, watch


class TrainerWatch(TrainerCallback):  # type: ignore[misc]  # it carries no types
    """``Trainer(…, callbacks=[TrainerWatch()])``. ``options`` as ``watch`` takes them; ``watch`` is there from the
    beginning of the training on, and its report is logged at the end. The loss is the one that the model gives.
    """

    def __init__(self, **options: Any) -> None:
        self.watch: Watch | None = None
        self._options = options
        self._handle: RemovableHandle | None = None
        self._parts = 1

    def on_train_begin(self, args: Any, _state: Any, _control: Any, **given: Any) -> None:
        model: nn.Module = given["model"]
        self._parts = args.gradient_accumulation_steps
        self.watch = watch(model, given["optimizer"], **self._options)
        self._handle = model.register_forward_hook(Hook(self._tell), with_kwargs=True)

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_given: Any) -> None:
        if self.watch is not None and self._handle is not None:
            self._handle.remove()
            self.watch.close()
            LOG.info(self.watch.report())

    def _tell(self, _: nn.Module, _args: Any, given: dict[str, Any], output: Any) -> None:
        """Of a step in several parts that divides by all its items, each part has its share of the mean."""
        loss = output.get("loss") if isinstance(output, dict) else None
        if self.watch is not None and isinstance(loss, Tensor) and loss.requires_grad:
            parts = self._parts if given.get("num_items_in_batch") is not None else 1
            self.watch.loss(loss * parts if parts > 1 else loss)
