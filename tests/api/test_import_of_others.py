"""Logs that others have written, read as they left them: by `make exports` (TensorBoard) and `make trainers`."""

import importlib
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradient_clinic.command.line import main
from tests.api.test_import import curves_of, falling
from tests.gradient_clinic.watcher.test_report import drawn
from tests.gradient_clinic.watcher.test_trainers import Answering, cases

Json = dict[str, Any]
Brought = Callable[..., Json]
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # of theirs
tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="make exports")
transformers = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="make trainers")


def written(folder: Path, steps: range = range(0, 500, 5)) -> Path:
    """As torch's own writer has it. Its scalars are of 32 bits."""
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    for step in steps:
        writer.add_scalar("train/loss", falling(step), step)
        writer.add_scalar("train/lr", 0.1, step)
        writer.add_scalar("gradients/0.weight", 1.0, step)
    writer.add_scalar("eval/loss", 0.5, 250)
    writer.add_histogram("weights", np.arange(10.0), 1)
    writer.add_text("notes", "no number", 1)
    writer.close()
    return folder


@tensorboard
def test_a_folder_of_torchs_writer_is_a_run(tmp_path: Path, address: str, brought: Brought) -> None:
    run = brought(written(tmp_path / "first"))
    found = curves_of(address, run)
    losses = [float(np.float32(falling(step))) for step in range(0, 500, 5)]
    assert found["curves"]["loss"]["last"] == losses
    assert set(found["curves"]) == {"loss", "learning_rate"}
    assert found["steps"][1] == [5, 5]
    assert found["epochs"] == {"validation_loss": [0.5], "validation_metric": [], "steps": [250]}
    assert run["verdict"]["rests_on"] == "loss"
    assert "gradients/0.weight: norms by layer" in run["remarks"][0]


@tensorboard
def test_a_training_that_was_taken_up_again_is_one_run(tmp_path: Path, address: str, brought: Brought) -> None:
    folder = written(tmp_path / "first", range(0, 300, 5))
    written(folder, range(200, 500, 5))
    run = brought(folder)
    assert len(curves_of(address, run)["steps"]) == 100
    assert run["remarks"][0] == "20 losses of steps that come again later are passed over"


@tensorboard
def test_a_torn_last_event_is_no_fault_and_a_damaged_one_is(
    tmp_path: Path,
    brought: Brought,
    refused: Callable[..., str],
) -> None:
    (file,) = written(tmp_path / "first").iterdir()
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (bytes(damaged), b"no events at all, but text", b""):
        file.write_bytes(content)
        assert "is no event; the file is damaged there, or is no event file" in refused(file)
    writer = importlib.import_module("tensorboard.summary.writer.record_writer").RecordWriter(file.open("wb"))
    writer.write(b"\xff\xff no event")
    writer.close()
    assert "is a record, and no event" in refused(file)
    file.write_bytes(whole[:-7])
    assert brought(file)["state"] == "succeeded"


@tensorboard
def test_what_a_clinic_has_exported_comes_back_as_a_log(tmp_path: Path, address: str, brought: Brought) -> None:
    """Its own tags are none of a trainer's, so the loss is named."""
    first = brought(written(tmp_path / "first"))
    assert main(["export", first["id"], "--to", "tensorboard", str(tmp_path / "out"), "--server", address]) == 0
    (file,) = (tmp_path / "out").rglob("seed-0/*tfevents*")
    again = brought(file, "--loss", "curves/loss", "--experiment", "again")
    theirs, ours = (curves_of(address, run)["curves"]["loss"]["last"] for run in (first, again))
    assert theirs == ours


@transformers
@pytest.mark.parametrize("rate", [0.05, 1e30])
def test_the_state_of_transformers_trainer_is_a_run(
    tmp_path: Path,
    address: str,
    brought: Brought,
    rate: float,
) -> None:
    theirs: Any = importlib.import_module("transformers")
    arguments = theirs.TrainingArguments(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=16,
        max_steps=40,
        learning_rate=rate,
        optim="sgd",
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=20,
        save_strategy="steps",
        save_steps=20,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = theirs.Trainer(
        model=Answering(drawn(3, 1.0)), args=arguments, train_dataset=cases(), eval_dataset=cases()
    )
    trainer.train()
    state = json.loads((tmp_path / "out" / "checkpoint-40" / "trainer_state.json").read_text())
    logged = [entry for entry in state["log_history"] if "loss" in entry]
    run = brought(tmp_path / "out", "--chance", str(math.log(4)))
    found = curves_of(address, run)
    assert [first for first, _ in found["steps"]] == list(range(0, 40, 5))
    assert found["curves"]["loss"]["last"] == [entry["loss"] for entry in logged]
    assert found["curves"]["learning_rate"]["last"] == [entry["learning_rate"] for entry in logged]
    assert found["epochs"]["steps"] == [20, 40]
    broken = rate > 1.0
    assert (run["verdict"]["kind"] == "diverged") == broken
    assert (found["first_nonfinite"] is not None) == broken
