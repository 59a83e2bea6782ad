"""What a watcher says of a network is what the service's rules are told of it."""

import uuid

import torch
from torch import nn

from gradient_clinic.watcher.setup import described, setup_of
from gradient_clinic.watcher.trace import layer_of
from gradient_clinic.watcher.watch import watch
from models.plan.watched import plan_watched
from models.specs.ingested import IngestedSpec, Watched


def test_the_sizes_of_a_recurrent_layers_weights_reach_the_rules_of_the_service() -> None:
    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    torch.autograd.backward(model(torch.randn(5, 3, 4)).square().mean())
    optimizer.step()
    first = watched.records.kept()[0].matrix
    layers = [layer_of(row, first[:, index]) for index, row in enumerate(watched.rows)]
    said = described(model, watched.rows, layers, first, has_skips=False, values=True)
    about = {"optimizer": "SGD", "every": 1, "writer": "test", "device": "cpu", "versions": {}, "token": uuid.uuid4()}
    plan = plan_watched(IngestedSpec(source="ingested", name="tagger"), Watched.model_validate(said | about), 1)
    assert [name for name, _, _ in plan.setup.weight_gains] == ["lstm"]
    assert plan.setup.weight_gains == setup_of(watched.rows, first, has_skips=False, values=True).weight_gains
    watched.close()


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.tags = nn.LSTM(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        tags: torch.Tensor = self.tags(self.lstm(words)[0])
        return tags
