"""Traces and curves as tables of every value, streamed: memory for one batch, whatever the length of the run.

Each batch is read in a short transaction of its own, so that a slow client holds none. Values are as they are stored,
NaN and ±∞ included. Where the run begins anew meanwhile, or its raw values go, the stream breaks: it has no proper end.
"""

import io
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import structlog
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.types import Send

from api.http.negotiation import ARROW, CSV, PARQUET
from api.views.traces import TraceRow
from gradient_clinic.signals import CURVES, SIGNALS, CurveName, SignalName
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.reader import Extent, Window, read_curves, read_signals
from models.traces.rollups import CHUNK_RECORDS

log = structlog.get_logger()

# Arrow's own pool keeps the largest batch that it ever had; the system's gives it back.
pa.set_memory_pool(pa.system_memory_pool())

BATCH_VALUES = 200_000
"""In one batch at most, as long as one chunk of every layer is no more."""

_SUFFIXES = {CSV: "csv", ARROW: "arrows", PARQUET: "parquet"}
_WRITERS: dict[str, Callable[..., Any]] = {
    CSV: pyarrow.csv.CSVWriter,
    ARROW: pa.ipc.new_stream,
    PARQUET: pyarrow.parquet.ParquetWriter,
}


class TraceChangedError(Exception):
    """The values that were sent are gone: a new attempt began, or retention dropped them. The stream has to break."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Whose records: those of an attempt at a run that are in steps ``first`` … ``last`` of what was there."""

    database: Database
    run_id: uuid.UUID
    attempt: int
    there: Extent
    first: int
    last: int

    def windows(self, values_per_record: int, read: Callable[[Session, int, int], Window]) -> Iterator[Window]:
        """Chunk borders cut them, so that no chunk is read twice."""
        begin, end = self.there.between(self.first, self.last)
        size = max(1, BATCH_VALUES // max(1, values_per_record) // CHUNK_RECORDS) * CHUNK_RECORDS
        while begin < end:
            until = min(end, begin // size * size + size)
            with self.database.snapshot() as session:
                # In the snapshot of the read: what is checked is what is sent.
                self._check(session)
                window = read(session, begin * self.there.stride, (until - 1) * self.there.stride)
            # Outside of the transaction: a client that reads slowly must not hold one open.
            yield window
            begin = until

    def _check(self, session: Session) -> None:
        now = session.execute(select(Run.attempt, Run.raw_dropped_at).where(Run.id == self.run_id)).one_or_none()
        if now is None or now.attempt != self.attempt or now.raw_dropped_at is not None:
            message = f"run {self.run_id} began anew, or its values were dropped, while they were sent"
            raise TraceChangedError(message)


class Table(Protocol):
    """Columns, and batches of rows."""

    @property
    def schema(self) -> Any: ...

    def batches(self) -> Iterator[Any]: ...


@dataclass(frozen=True, slots=True)
class TraceTable:
    """One row per (step, layer), a column per signal; of an untrained network there is no update: null."""

    reading: Reading
    layers: Sequence[TraceRow]
    signals: Sequence[SignalName]
    untrained: bool

    @property
    def schema(self) -> Any:
        named = [("step", pa.int32()), ("layer_index", pa.int32()), ("layer", pa.dictionary(pa.int32(), pa.string()))]
        return pa.schema([*named, *((signal, pa.float32()) for signal in self.signals)])

    def batches(self) -> Iterator[Any]:
        indices = [layer.index for layer in self.layers]

        def read(session: Session, first: int, last: int) -> Window:
            return read_signals(session, self.reading.run_id, self.signals, indices, first, last)

        for window in self.reading.windows(len(self.layers) * len(self.signals), read):
            yield self._batch(window)

    def _batch(self, window: Window) -> Any:
        records, count = len(window.steps), len(self.layers)
        layer = np.tile(np.arange(count, dtype=np.int32), records)
        columns = [
            pa.array(np.repeat(window.steps.astype(np.int32), count)),
            pa.array(np.array([row.index for row in self.layers], dtype=np.int32)[layer]),
            # Names once per batch, and a number per row: written out they would be most of the file.
            pa.DictionaryArray.from_arrays(layer, pa.array([row.name for row in self.layers], pa.string())),
        ]
        for signal, values in zip(self.signals, window.values, strict=True):
            absent = signal == "update_ratio" and self.untrained
            # (layers, records) by column of the table: step by step, every layer of a step before the next.
            by_step = values.T.astype(np.float32).reshape(-1)
            columns.append(pa.nulls(len(by_step), pa.float32()) if absent else pa.array(by_step))
        return pa.record_batch(columns, schema=self.schema)


@dataclass(frozen=True, slots=True)
class CurveTable:
    """One row per step, a column per curve; null where it was not told."""

    reading: Reading
    told: Sequence[CurveName]

    @property
    def schema(self) -> Any:
        return pa.schema([("step", pa.int32()), *((curve, pa.float64()) for curve in CURVES)])

    def batches(self) -> Iterator[Any]:
        def read(session: Session, first: int, last: int) -> Window:
            return read_curves(session, self.reading.run_id, CURVES, first, last)

        for window in self.reading.windows(len(CURVES), read):
            curves = [
                pa.array(values.copy()) if name in self.told else pa.nulls(len(values), pa.float64())
                for name, values in zip(CURVES, window.values, strict=True)
            ]
            yield pa.record_batch([pa.array(window.steps.astype(np.int32)), *curves], schema=self.schema)


@dataclass(frozen=True, slots=True)
class RecordTable:
    """One row per value, with all that was recorded: curves first, which have no layer, then signals.

    ``about``: what a reader of the file has to know, by key; it goes into the metadata.
    """

    reading: Reading
    layers: Sequence[TraceRow]
    told: Sequence[CurveName]
    untrained: bool
    about: Mapping[str, str]

    @property
    def schema(self) -> Any:
        word = pa.dictionary(pa.int32(), pa.string())
        of_layers = [("layer_index", pa.int32()), ("layer", word), ("role", word)]
        columns = [("step", pa.int32()), *of_layers, ("signal", word), ("value", pa.float64())]
        return pa.schema(columns, metadata=dict(self.about))

    def batches(self) -> Iterator[Any]:
        indices = [layer.index for layer in self.layers]
        # Of an untrained network there is no update.
        signals = tuple(signal for signal in SIGNALS if signal != "update_ratio" or not self.untrained)

        def curves(session: Session, first: int, last: int) -> Window:
            return read_curves(session, self.reading.run_id, self.told, first, last)

        def trace(session: Session, first: int, last: int) -> Window:
            return read_signals(session, self.reading.run_id, signals, indices, first, last)

        schema = self.schema
        for window in self.reading.windows(len(self.told), curves):
            yield self._batch(schema, self.told, [], Window(window.steps, window.values[:, np.newaxis]))
        for window in self.reading.windows(len(indices) * len(signals), trace) if indices else ():
            yield self._batch(schema, signals, self.layers, window)

    @staticmethod
    def _batch(schema: Any, signals: Sequence[str], layers: Sequence[TraceRow], window: Window) -> Any:
        """``values``: (signals, layers, records), and (curves, 1, records) where there are no layers."""
        records, rows = len(window.steps), window.values.shape[1]
        # Signal by signal and layer by layer: what is alike lies together, and takes next to no space.
        layer = np.tile(np.repeat(np.arange(rows, dtype=np.int32), records), len(signals))
        signal = np.repeat(np.arange(len(signals), dtype=np.int32), rows * records)
        of_layers = [pa.nulls(len(signal), schema.field(name).type) for name in ("layer_index", "layer", "role")]
        if layers:
            index = np.array([row.index for row in layers], dtype=np.int32)
            names, roles = [row.name for row in layers], [row.role for row in layers]
            of_layers = [pa.array(index[layer]), _words(names, layer), _words(roles, layer)]
        columns = [
            pa.array(np.tile(window.steps.astype(np.int32), len(signals) * rows)),
            *of_layers,
            _words(signals, signal),
            pa.array(window.values.reshape(-1)),
        ]
        return pa.record_batch(columns, schema=schema)


def _words(words: Sequence[str], places: Any) -> Any:
    """The word at each of these places, each word stored once."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    which = np.array([numbers[word] for word in words], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(which[places], pa.array(list(numbers), pa.string()))


SMALL: Final = {
    "compression": "zstd",
    "use_dictionary": ["step", "layer_index", "layer", "role", "signal"],
    "use_byte_stream_split": ["value"],
}
"""How Parquet packs numbers of which none is twice there: less than half of what it makes of them by default."""


def streamed(
    table: Table, media_type: str, name: str, headers: dict[str, str], packed: Mapping[str, Any] = MappingProxyType({})
) -> StreamingResponse:
    """The table as a file called ``name``, sent while it is read. ``packed``: options of what writes it."""
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{_SUFFIXES[media_type]}"'}
    return _Stream(_encoded(table, media_type, packed), headers=headers | disposition, media_type=media_type)


class _Stream(StreamingResponse):
    """A response that can end without its proper end, which closes the connection: the client sees that it broke."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except TraceChangedError as error:
            log.warning("a table broke off", reason=str(error))


def _encoded(table: Table, media_type: str, packed: Mapping[str, Any]) -> Iterator[bytes]:
    sink = _Sink()
    writer = _WRITERS[media_type](sink, table.schema, **packed)
    for batch in table.batches():
        writer.write_batch(batch)
        yield sink.taken()
    # Parquet's footer, or Arrow's end mark: a table that broke off has none, and readers see that.
    writer.close()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file to write into, out of which what was written can be taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    # Parquet's footer says where each column begins in the file: it is asked for, though nothing is kept.
    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found
