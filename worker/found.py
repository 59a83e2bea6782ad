"""What a plug-in's network turns out to be: built and measured once, before the run, on a copy that is thrown away."""

import torch
from pydantic import ValidationError

from gradient_clinic.watcher.setup import described
from models.plan import Plan
from models.specs.ingested import WatchedSpec
from worker.datasets.split import TrialData
from worker.plugins.blame import PluginError
from worker.plugins.listening import RowProbe
from worker.plugins.module import PluginNetwork
from worker.plugins.shelf import Shelf
from worker.trainer import Trainer


def found_of(plan: Plan, data: TrialData, *, seed: int, device: torch.device, shelf: Shelf) -> WatchedSpec:
    """Its layers in the order of a pass, and what the rules of a verdict ask of it before the first step.

    PluginError where its code fails, or where it has no depth axis.
    """
    trainer = Trainer(plan, data, seed=seed, device=device, dtype=torch.float32, record=True, shelf=shelf)
    try:
        network, probe = trainer.model, trainer.probe
        assert isinstance(network, PluginNetwork)
        assert isinstance(probe, RowProbe)
        trainer.look()
        assert probe.first is not None  # it was recorded just now
        said = described(
            network.module,
            probe.rows,
            probe.layers,
            probe.first,
            has_skips=network.found.has_skips,
            values=plan.dataset.facts.target == "value",
        )
    finally:
        trainer.close()
    try:
        return WatchedSpec(**said, optimizer=plan.optimizer.kind)
    except ValidationError as error:
        its = error.errors()[0]
        raise PluginError(network.plugin.key, its["msg"].removeprefix("Value error, ")) from error
