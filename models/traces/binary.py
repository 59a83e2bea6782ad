"""Arrays in and out of PostgreSQL's binary format without a Python number per value.

An array on the wire: int32 dimensions, int32 has-null, int32 element oid, int32 length, int32 lower bound, then
int32 size and value per element, big-endian (PostgreSQL source, ``array_send``). Used for ``COPY … (FORMAT BINARY)``
and for reading back what ``array_send`` returns.
"""

import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.sql import SQL, Identifier, Placeholder

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Field = uuid.UUID | str | bool | int | Values | None

_ELEMENT = {
    4: (700, np.dtype([("size", ">i4"), ("value", ">f4")])),
    8: (701, np.dtype([("size", ">i4"), ("value", ">f8")])),
}
_HEADER = struct.Struct(">iiiii")


def array_bytes(values: Values) -> bytes:
    """One-dimensional real[] (float32) or double precision[] (float64), bit for bit."""
    oid, layout = _ELEMENT[values.dtype.itemsize]
    if len(values) == 0:
        # An empty array has no dimension at all, so it has no length and no lower bound either.
        return struct.pack(">iii", 0, 0, oid)
    elements = np.empty(len(values), dtype=layout)
    elements["size"] = values.dtype.itemsize
    elements["value"] = values
    return _HEADER.pack(1, 0, oid, len(values), 1) + elements.tobytes()


def array_values(sent: Sequence[bytes], dtype: type[np.float32] | type[np.float64]) -> npt.NDArray[np.float64]:
    """What ``array_send`` returned of some real[] (float32) or double precision[] (float64), end to end, as doubles."""
    layout = _ELEMENT[np.dtype(dtype).itemsize][1]
    elements = b"".join([array[_HEADER.size :] for array in sent])
    return np.frombuffer(elements, dtype=layout)["value"].astype(np.float64)


class _Singles(bytes):
    """A real[] as it is sent."""


class _Doubles(bytes):
    """A double precision[] as it is sent."""


class _Sent(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _SentSingles(_Sent):
    oid = 1021


class _SentDoubles(_Sent):
    oid = 1022


def _field(value: Field) -> bytes:
    match value:
        case None:
            return struct.pack(">i", -1)
        case uuid.UUID():
            payload = value.bytes
        case str():
            payload = value.encode()
        # Before int, of which bool is a kind.
        case bool():
            payload = struct.pack(">?", value)
        case int():
            payload = struct.pack(">i", value)
        case _:
            payload = array_bytes(value)
    return struct.pack(">i", len(payload)) + payload


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Field]]) -> None:
    """COPY rows of uuid, text, boolean, integer and array columns; the caller's transaction commits."""
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        Identifier(table), SQL(", ").join(map(Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0))
        for row in rows:
            copy.write(struct.pack(">h", len(row)) + b"".join(map(_field, row)))
        # The trailer: without it the server takes the stream for one that broke off.
        copy.write(struct.pack(">h", -1))


def append_values(
    connection: Connection, table: str, arrays: Mapping[str, Values], rows: int, where: Mapping[str, uuid.UUID | int]
) -> None:
    """Lengthen the arrays in some columns of the ``rows`` rows that are equal to ``where``, by equal shares of the
    values given: those of the row with ``layer_index`` 1, of the one with 2, … . The caller's transaction commits.

    RuntimeError where there are not so many rows.
    """
    share = "[(layer_index - 1) * %(share)s + 1 : layer_index * %(share)s]" if rows > 1 else ""
    longer = SQL(", ").join(
        SQL("{0} = {0} || ({1}){2}").format(Identifier(name), Placeholder(name), SQL(share)) for name in arrays
    )
    these = SQL(" AND ").join(SQL("{} = {}").format(Identifier(name), Placeholder(name)) for name in where)
    sent = {
        name: (_Singles if values.dtype.itemsize == 4 else _Doubles)(array_bytes(values))
        for name, values in arrays.items()
    }
    with connection.cursor() as cursor:
        cursor.adapters.register_dumper(_Singles, _SentSingles)
        cursor.adapters.register_dumper(_Doubles, _SentDoubles)
        share_of = {"share": len(next(iter(arrays.values()))) // rows} if share else {}
        cursor.execute(
            SQL("UPDATE {} SET {} WHERE {}").format(Identifier(table), longer, these), {**sent, **where, **share_of}
        )
        if cursor.rowcount != rows:
            message = f"{cursor.rowcount} rows of {table} were there to be lengthened, and not {rows}"
            raise RuntimeError(message)
