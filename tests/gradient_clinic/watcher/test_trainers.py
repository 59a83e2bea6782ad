"""The callbacks, in the trainers themselves: run by `make trainers`, which installs these libraries for it alone."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

import gradient_clinic as gc
from tests.gradient_clinic.watcher.test_no_harm import hooks_of
from tests.gradient_clinic.watcher.test_report import WIDTH, drawn
from tests.processes import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # of theirs
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("transformers", "lightning")), reason="make trainers"
    ),
]
CASES = 256


def cases() -> list[dict[str, Tensor]]:
    random = torch.Generator().manual_seed(2)
    inputs, right = torch.randn(CASES, WIDTH, generator=random), torch.randn(WIDTH, 4, generator=random)
    return [{"inputs": one, "labels": (one @ right).argmax()} for one in inputs]


class Answering(nn.Module):
    """Gives its loss, as the models of transformers do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, labels: Tensor, num_items_in_batch: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.network(inputs)
        if num_items_in_batch is None:
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}
        return {"loss": F.cross_entropy(logits, labels, reduction="sum") / num_items_in_batch, "logits": logits}


@pytest.mark.parametrize("parts", [1, 2])
def test_the_trainer_of_transformers_is_watched(parts: int, tmp_path: Path) -> None:
    transformers: Any = importlib.import_module("transformers")
    model = Answering(drawn(12, 0.1))
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=16,
        gradient_accumulation_steps=parts,
        max_steps=40,
        optim="sgd",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    callback = gc.TrainerWatch(every=1)
    trainer = transformers.Trainer(model, arguments, train_dataset=cases(), callbacks=[callback])
    trainer.train()
    watched = callback.watch
    assert watched is not None
    assert watched.steps == watched.records.count == 40
    found = watched.reported()
    assert found.verdict is not None
    assert found.verdict.kind == "vanishing"
    assert watched.records.kept()[0].curves["loss"] == pytest.approx(1.386, abs=0.02)
    assert hooks_of(model, watched.optimizers[0]) == 0


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_trainer_of_lightning_is_watched(parts: int, precision: str, tmp_path: Path) -> None:
    lightning: Any = importlib.import_module("lightning.pytorch")

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = drawn(12, 0.1)

        def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
            return F.cross_entropy(self.network(batch["inputs"]), batch["labels"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    callback = gc.LightningWatch(every=1)
    trainer = lightning.Trainer(
        max_steps=20,
        accelerator="cpu",
        precision=precision,
        accumulate_grad_batches=parts,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    module = Module()
    trainer.fit(module, torch.utils.data.DataLoader(cases(), batch_size=8))  # type: ignore[arg-type]
    watched = callback.watch
    assert watched is not None
    assert watched.steps == watched.records.count == 20
    found = watched.reported()
    assert found.verdict is not None
    assert found.verdict.kind == "vanishing"
    assert watched.records.kept()[0].curves["loss"] == pytest.approx(1.386, abs=0.02)
    assert hooks_of(module, watched.optimizers[0]) == 0


def test_the_trainer_of_the_readme_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As somebody types it who has installed the wheel and transformers."""
    (example,) = re.findall(r"```py\n(.+?)```", (ROOT / "gradient_clinic" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(example, {})
    assert "healthy: The network trains: no remedy needed under these conditions." in capsys.readouterr().out
