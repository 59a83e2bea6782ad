"""An experiment as TensorBoard reads it: ``<experiment>/<variant>/seed-<n>`` is a run of it, in one event file.

Written with ``tensorboard`` itself, beside the files that are there, and put in the place of an older one when it is
whole: what is exported again is there once, and what breaks off leaves nothing.
"""

import struct
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from gradient_clinic.command import summaries
from gradient_clinic.command.clinic import Json
from gradient_clinic.command.recorded import Record, are_kept, ended, records_of, started
from gradient_clinic.command.trial import (
    Setting,
    Trial,
    epochs_of,
    folder_name,
    results_of,
    run_name,
    verdict_in_words,
)

OURS: Final = ".gradient-clinic"
"""What the names of our event files end with."""
SHOWN: Final = ("test_metric", "test_loss", "final_loss")
"""Results that stand beside the settings in the table of hyperparameters."""


class TensorBoard:
    def __init__(self, place: str) -> None:
        self._root = Path(place)

    def begin(self, trial: Trial) -> None:
        """The answer, and which settings the table of hyperparameters has."""
        with _event_file(self._root / trial.folder) as write:
            table = hparams.hparams_config_pb(_columns(trial), [hparams.Metric(f"result/{name}") for name in SHOWN])
            write(table, 0, time.time())
            write(_texts({"comparison": summaries.markdown(trial.comparison)}), 0, time.time())

    def write(self, trial: Trial, run: Json) -> str:
        folder = self._root / trial.folder / folder_name(run["variant"]) / run_name(run)
        if any(_ours(folder)) and not are_kept(trial.client, run):
            return str(folder)  # the file has what retention has dropped since
        begin, end = started(run), ended(run)
        with _event_file(folder) as write:
            write(hparams.hparams_pb(trial.settings(run), trial_id=run["id"], start_time_secs=begin), 0, begin)
            for record in records_of(trial.client, run, trial.signals, trial.every):
                write(_scalars(_values(record)), record.step, record.wall_time)
            for epoch, numbers in epochs_of(trial.client, run):
                write(_scalars({f"epoch/{name}": value for name, value in numbers.items()}), epoch, end)
            write(_scalars({f"result/{name}": value for name, value in results_of(run).items()}), 0, end)
            write(_texts({"verdict": verdict_in_words(run), "run": f"{run['id']} on {run['device']}"}), 0, end)
            picture = trial.client.heat_map(run["id"])
            if picture is not None:
                write(_image("activation_gradient_rms", picture), 0, end)
        return str(folder)


def _ours(folder: Path) -> Iterator[Path]:
    return folder.glob(f"events.out.tfevents.*{OURS}")


@contextmanager
def _event_file(folder: Path) -> Iterator[Any]:
    """A function that takes (summary, step, wall time); the file takes its place at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as unfinished:
        writer = EventFileWriter(unfinished, filename_suffix=OURS)
        try:
            yield lambda summary, step, wall_time: writer.add_event(
                Event(wall_time=wall_time, step=step, summary=summary)
            )
        finally:
            writer.close()
        (written,) = Path(unfinished).iterdir()
        older = list(_ours(folder))
        written.rename(folder / written.name)
    for file in older:
        file.unlink()


def _values(record: Record) -> Iterable[tuple[str, float]]:
    yield from ((f"curves/{curve}", value) for curve, value in record.curves.items())
    for signal, numbers in record.signals.items():
        yield from ((f"{signal}/{layer}", value) for layer, value in zip(record.layers, numbers.tolist(), strict=True))


def _scalars(numbers: Mapping[str, float] | Iterable[tuple[str, float]]) -> Summary:
    summary = Summary()
    for tag, value in numbers.items() if isinstance(numbers, Mapping) else numbers:
        summary.value.add(tag=tag, simple_value=value)
    return summary


def _texts(texts: Mapping[str, str]) -> Summary:
    summary = Summary()
    for tag, text in texts.items():
        tensor = TensorProto(
            dtype=DT_STRING, string_val=[text.encode()], tensor_shape=TensorShapeProto(dim=[{"size": 1}])
        )
        summary.value.add(tag=tag, tensor=tensor, metadata=create_summary_metadata(tag, ""))
    return summary


def _image(tag: str, png: bytes) -> Summary:
    width, height = struct.unpack(">II", png[16:24])  # of IHDR, which is always the first
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def _columns(trial: Trial) -> list[Any]:
    """Of the table of hyperparameters: each setting with the values that it has in this experiment."""
    found = dict[str, set[Setting]]()
    for run in trial.runs:
        for name, value in trial.settings(run).items():
            found.setdefault(name, set()).add(value)
    alike = {name: len({type(value) for value in values}) == 1 for name, values in found.items()}
    return [hparams.HParam(name, hparams.Discrete(found[name]) if alike[name] else None) for name in sorted(found)]
