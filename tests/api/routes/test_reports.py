"""The report: one page that holds all it needs, and says what the comparison says."""

import re
import struct
import zlib

import numpy as np
from fastapi.testclient import TestClient

from api.report.colours import NOT_FINITE, colours, png, scale_limit
from models.database import Database
from tests.api import made


def test_a_report_holds_all_that_it_needs(client: TestClient, database: Database) -> None:
    experiment = made.submit(client, name="a <b> & c", remedies=[{"kind": "batch_norm"}])
    made.train_all(database, experiment)
    answer = client.get(f"/v1/experiments/{experiment['id']}/report")
    assert answer.status_code == 200
    page = answer.text
    assert not re.search(r'(src|href)=(?!"data:)', page)
    assert "<script" not in page
    assert "a &lt;b&gt; &amp; c" in page
    assert "<h2>What the runs reached</h2><p>Nothing has trained.</p>" in page
    comparison = client.get(f"/v1/experiments/{experiment['id']}/comparison").json()
    for variant in comparison["variants"]:
        assert f"<h3>{variant['name']}</h3>" in page


def test_a_report_can_be_read_before_anything_has_ended(client: TestClient) -> None:
    experiment = made.submit(client)
    page = client.get(f"/v1/experiments/{experiment['id']}/report")
    assert page.status_code == 200
    assert "No trace yet" in page.text
    missing = client.get("/v1/experiments/00000000-0000-7000-8000-000000000000/report")
    assert missing.status_code == 404


def test_the_scale_is_white_at_zero_and_symmetric_and_marks_what_is_not_finite() -> None:
    pixels = colours(np.array([[-4.0, 0.0, 4.0, np.nan, np.inf]]), 4.0)[0]
    assert pixels[1].min() > 240
    assert pixels[0, 2] > pixels[0, 0]  # blue: smaller
    assert pixels[2, 0] > pixels[2, 2]  # red: larger
    assert [tuple(one) for one in pixels[3:]] == [NOT_FINITE] * 2


def test_one_limit_holds_for_all_maps_and_never_shows_noise_as_illness() -> None:
    assert scale_limit([np.array([[0.1]]), np.array([[-7.0, np.nan]])]) == 7.0
    assert scale_limit([np.array([[0.1]])]) == 3.0
    assert scale_limit([]) == 3.0


def test_a_png_returns_its_pixels() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    packed = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    lines = zlib.decompress(packed)
    assert lines == b"\x00" + pixels[0].tobytes() + b"\x00" + pixels[1].tobytes()
