"""The first forward pass that has gradients: followed once, and told what it has found."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from gradient_clinic.watcher.discovery import Found, find_rows
from gradient_clinic.watcher.flow import Follower
from gradient_clinic.watcher.guard import Guard, Hook
from gradient_clinic.watcher.listener import Capture


class Following:
    """Waits for a pass of ``model``. ``told`` is given what was found, while the tensors of the pass are still held.
    ``layers`` and ``depth`` as ``watch`` takes them.
    """

    def __init__(
        self,
        model: nn.Module,
        guard: Guard,
        told: Callable[[Found], None],
        layers: str | None,
        depth: Sequence[str] | None,
    ) -> None:
        self._model, self._guard, self._told, self._layers, self._depth = model, guard, told, layers, depth
        self._capture = Capture(guard)
        self._follower: Follower | None = None
        self._before = model.register_forward_pre_hook(
            Hook(lambda _, args, kwargs: guard.run(self._begin, (args, kwargs))), with_kwargs=True
        )
        self._after = model.register_forward_hook(Hook(lambda _, __, output: self._end(output)), always_call=True)

    def close(self) -> None:
        """Wait no more. A pass that is under way ends as if nobody followed it: torch's mode is left where it ends."""
        self._before.remove()
        if self._follower is None:
            self._after.remove()

    def _begin(self, inputs: object) -> None:
        self._stop()  # a pass that was interrupted has told nobody
        if torch.is_grad_enabled():
            take, before_change = self._capture.take, self._capture.before_change
            self._follower = Follower(self._model, self._depth or (), self._guard, take, before_change)
            self._follower.begin(inputs)

    def _end(self, output: object) -> None:
        """``output`` is None where the pass has failed: the next one is followed then."""
        follower = self._follower
        self._stop()
        if follower is not None and output is not None:
            self._guard.run(self._tell, follower, output)
            self.close()
        self._capture.release()

    def _tell(self, follower: Follower, output: object) -> None:
        passed = follower.seen(output)
        self._told(find_rows(self._model, passed, self._layers, asked=self._depth is not None))

    def _stop(self) -> None:
        if self._follower is not None:
            self._follower.end()
            self._follower = None
