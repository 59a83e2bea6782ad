"""Whatever bytes are sent, the answer is a data set or a refusal that says why: valid samples, changed in many ways."""

import gzip
import io
import struct
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.refusals import RefusalError
from tests.api.made import problem
from tests.api.uploads.samples import arrow, gzipped, idx, images, npz, packed, parquet, refusal, taken, tone, wav

X, Y = images()
SOUND = wav(tone(300.0, 0.05), width=3)
VECTORS = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.float32)), 3)
RAGGED = pa.array([[1.0, 2.0], [3.0], [5.0, 6.0], [7.0]])
LABELS = pa.array(["a", "b", "a", "c"])


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = {
    "x.npy": npy(X.astype(">f8")),
    "y.npy": npy(np.array(list("abcabc"))),
    "lengths.npy": npy(np.array([1, 2, 3, 4, 1, 2])),
}
TABLE = b"1.wav,a\n2.wav,b\n"
ZIPS = [ARRAYS, {"a/1.wav": SOUND, "b/2.wav": SOUND}, {"1.wav": SOUND, "2.wav": SOUND, "labels.csv": TABLE}]
IDX = {"x": idx(X), "y": idx(Y)}
WHOLE = [*(packed(files) for files in [*ZIPS, IDX]), npz(x=X, y=Y), gzipped(idx(X)), idx(X)]
COLUMNS = [
    parquet(VECTORS, LABELS),
    parquet(RAGGED, LABELS.dictionary_encode()),
    arrow(VECTORS, LABELS),
    arrow(RAGGED, LABELS.dictionary_encode(), stream=True),
]

EXTREMES = [0, 1, 2, 3, 40, 48, 56, 64, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
NUMBER = st.builds(
    lambda value, width, order: (value % 256**width).to_bytes(width, order),
    st.sampled_from(EXTREMES),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(["little", "big"]),
)
WRITTEN = st.one_of(NUMBER, st.sampled_from([b"(", b")", b"]", b"'", b"-", b"O", b"V", b"9"]), st.binary(max_size=9))
# Where something is changed: beginnings and ends, where headers and directories lie, are hit as often as all else.
PLACE = st.one_of(st.integers(0, 80), st.integers(-120, -1), st.integers(0, 2_000))


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place, written = draw(PLACE) % max(1, len(content)), draw(WRITTEN)
        match draw(st.sampled_from(["over", "between", "cut", "without", "behind"])):
            case "over":
                content[place : place + len(written)] = written
            case "between":
                content[place:place] = written
            case "cut":
                del content[place:]
            case "without":
                del content[place : place + draw(st.integers(1, 20))]
            case _:
                content += written
    return bytes(content)


@st.composite
def inside(draw: st.DrawFn) -> bytes:
    """One file of a zip is changed, and the zip is whole: what lies in it is reached."""
    files = draw(st.sampled_from([*ZIPS, IDX]))
    name = draw(st.sampled_from(sorted(files)))
    return packed(files | {name: draw(changed(files[name]))}, zipfile.ZIP_STORED)


UPLOADS = st.one_of(
    st.sampled_from(WHOLE).flatmap(changed).map(lambda content: [content]),
    inside().map(lambda content: [content]),
    changed(idx(X)).map(lambda content: [content, idx(Y)]),
    changed(idx(Y)).map(lambda content: [gzipped(idx(X)), gzip.compress(content)]),
)


@settings(max_examples=200)
@given(UPLOADS, st.sampled_from(["raw", "log_mel"]))
def test_readers_take_or_refuse_and_never_fail(contents: list[bytes], features: str) -> None:
    try:
        taken(*contents, features=features)
    except RefusalError as error:
        is_answer = error.status in {413, 415, 422} and bool(error.field and error.message)
    else:
        is_answer = True
    assert is_answer


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.sampled_from(COLUMNS).flatmap(changed), inside()))
def test_the_service_answers_201_or_a_problem(client: TestClient, content: bytes) -> None:
    before = client.get("/v1/datasets").json()["items"]
    response = client.put("/v1/datasets/mine", content=content)
    if response.status_code not in {200, 201}:
        assert problem(response, response.status_code)["errors"]
        assert response.status_code in {413, 415, 422}
        assert client.get("/v1/datasets").json()["items"] == before


def npy_of(header: bytes, content: bytes = bytes(64)) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def with_header(header: bytes) -> bytes:
    return packed({"x.npy": npy_of(header), "y.npy": npy(np.array([0, 1]))})


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), ", "no npy file"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': ((((2, 4}", "no npy file"),
        (b"(" * 5_000, "no npy file"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, " + b"9" * 4_299 + b")}", "no array has this shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, -4)}", "no array has this shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9223372036854775807)}", "no array has this shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': ()}", "the inputs have the shape ()"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,) * 99999}", "no npy file"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': '|V8', 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': '<c8', 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': '<U0', 'fortran_order': False, 'shape': (2, 4)}", "only plain numbers"),
        (b"{'descr': 7, 'fortran_order': False, 'shape': (2, 4)}", "no npy file"),
        (b"\xff\xfe", "no npy file"),
    ],
)
def test_an_npy_header_that_cannot_be_is_refused(header: bytes, said: str) -> None:
    assert said in refusal(422, with_header(header))


@pytest.mark.parametrize("kind", ["<f2", ">f2", ">i8", "<u8", "|b1", "|i1", "<f4"])
def test_every_plain_number_is_taken(kind: str) -> None:
    numbers = (np.arange(8).reshape(2, 4) % 2).astype(kind)
    found = taken(packed({"x.npy": npy(numbers), "y.npy": npy(np.array([0, 1]))}))
    np.testing.assert_array_equal(found.x, numbers.astype(np.float32))


@pytest.mark.parametrize("code", [0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF])
def test_a_label_that_is_no_text_is_refused(code: int) -> None:
    labels = np.array([65, code, 66], np.uint32).view("<U1")
    assert f"0x{code:X}, which is no character" in refusal(422, npz(x=np.eye(3), y=labels))


def test_parts_of_different_kinds_are_refused() -> None:
    x, y = np.eye(3), np.array([0, 1, 0])
    text = {"x_train": x, "y_train": y, "x_test": x, "y_test": np.array(["a", "b", "a"])}
    assert "of one part are text" in refusal(422, npz(**text))
    mixed = {"x_train": x.astype(np.uint8), "y_train": y, "x_test": x, "y_test": y}
    assert "one part has bytes" in refusal(422, npz(**mixed))


def renamed(first: bytes, second: bytes) -> bytes:
    return packed({"x.npy": npy(X), "y.npy": npy(Y)}).replace(first, second)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (renamed(b"y.npy", b"x.npy"), "have the name of another"),
        (packed({"../x.npy": npy(X), "y.npy": npy(Y)}), "not a data set"),
        (packed({"inner.zip": packed(ARRAYS), "other.zip": packed(ARRAYS)}), "no IDX file"),
        (packed(ARRAYS)[:200], "cut off"),
    ],
)
def test_a_zip_with_tricks_is_refused(content: bytes, said: str) -> None:
    assert said in refusal(415 if "no IDX" in said else 422, content)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({8: b"\x01"}, "encrypted"),
        ({42: b"\xff\xff\xff\x7f"}, "broken"),
        ({16: b"\1\2\3\4"}, "broken"),
        ({28: b"\0", 32: b"\5"}, "has no name"),
    ],
)
def test_a_directory_that_lies_is_refused(changes: dict[int, bytes], said: str) -> None:
    whole = bytearray(packed(ARRAYS))
    entry = whole.find(b"PK\x01\x02")
    for place, written in changes.items():
        whole[entry + place : entry + place + len(written)] = written
    assert said in refusal(422, bytes(whole))


TYPES = [
    (pa.array([[1, 2]] * 4, pa.list_(pa.decimal128(5, 2))), LABELS),
    (pa.array([[None]] * 4, pa.list_(pa.null())), LABELS),
    (pa.array([[1]] * 4, pa.list_(pa.timestamp("s", tz="Europe/Berlin"))), LABELS),
    (pa.array([{"a": 1.0}] * 4), LABELS),
    (pa.array([[("a", 1.0)]] * 4, pa.map_(pa.string(), pa.float64())), LABELS),
    (VECTORS, pa.array([0.0, float("nan"), 1.0, 1.0])),
    (VECTORS, pa.array([1, 2, 1, 2], pa.timestamp("s", tz="UTC"))),
    (VECTORS, pa.array([b"\xff", b"a", b"a", b"b"])),
    (VECTORS, pa.array(["x" * 1_000, "a", "b", "b"])),
]


@pytest.mark.parametrize(("features", "label"), TYPES)
def test_columns_of_odd_types_are_refused(features: Any, label: Any) -> None:
    for write in (parquet, arrow):
        assert refusal(422, write(features, label))


def test_a_null_in_the_dictionary_is_a_null() -> None:
    labels = pa.DictionaryArray.from_arrays([0, 1, 0, 1], pa.array(["a", None]))
    assert "a label is null" in refusal(422, arrow(VECTORS, labels))
