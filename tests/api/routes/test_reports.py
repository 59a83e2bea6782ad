"""The report: one page that holds all it needs, and says what the comparison says."""

import base64
import re
import struct
import zlib

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import update

from gradient_clinic.maps.colours import NOT_FINITE, SILENT, colours, png, scale_limit
from gradient_clinic.signals import SIGNALS
from models.storage.database import Database
from models.storage.tables import Run
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
    assert "no run trains; all 2: " in page
    assert "Multilayer perceptron (mlp), depth 4 (3 hidden layers and the output), width 8" in page
    assert "<b>batch_norm</b>: eps 1e-05" in page
    assert page.count("3 hidden layers, first at the bottom; steps 0 to 3<") == 2
    comparison = client.get(f"/v1/experiments/{experiment['id']}/comparison").json()
    first, *rest = comparison["answer"].split(". ")
    assert f"<p class=answer>{first}.<br>{rest[0]}" in page
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
    pixels = colours(np.array([[-4.0, 0.0, 4.0, np.nan, np.inf, -np.inf]]), 4.0)[0]
    assert pixels[1].min() > 240
    assert pixels[0, 2] > pixels[0, 0]  # blue: smaller
    assert pixels[2, 0] > pixels[2, 2]  # red: larger
    assert [tuple(one) for one in pixels[3:]] == [NOT_FINITE, NOT_FINITE, SILENT]


def test_one_limit_holds_for_all_maps_and_never_shows_noise_as_illness() -> None:
    assert scale_limit([np.array([[0.1]]), np.array([[-17.0, np.nan, -np.inf]])]) == 17.0
    assert scale_limit([np.array([[3.1]])]) == 12.0
    assert scale_limit([]) == 12.0


def test_a_silent_gradient_is_grey_and_a_broken_one_black(client: TestClient, database: Database) -> None:
    experiment = made.submit(client, seeds=[0])
    (run_id,) = made.run_ids(database, experiment)
    lease, plan = made.claim(database, run_id)
    signals = made.values(plan, 0.0)
    delta = signals[SIGNALS.index("activation_gradient_rms")]
    delta[0, 1], delta[:, 2], delta[:, 3] = 0.0, 0.0, np.nan
    made.write(database, lease, plan, signals, ended=True)
    made.finish(database, lease, plan)
    page = client.get(f"/v1/experiments/{experiment['id']}/report").text
    (uri,) = re.findall(r'<img class=map width="100.00%" alt="[^"]*" src="data:image/png;base64,([^"]*)"', page)
    data = base64.b64decode(uri)
    packed = zlib.decompress(data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8])
    pixels = np.frombuffer(packed, dtype=np.uint8).reshape(3, 13)[:, 1:].reshape(3, 4, 3)
    grey = (pixels == np.array(SILENT)).all(axis=2)
    black = (pixels == np.array(NOT_FINITE)).all(axis=2)
    assert grey.tolist() == [[False, False, True, False]] * 2 + [[False, True, True, False]]  # the first layer is below
    assert black.tolist() == [[False, False, False, True]] * 3
    assert "steps 0 to 2, then not finite (recorded to step 3)" in page


def test_the_page_says_which_loss_counts_as_learned(client: TestClient, database: Database) -> None:
    experiment = made.submit(client, seeds=[0])
    made.train_all(database, experiment)
    address = f"/v1/experiments/{experiment['id']}/report"
    assert "at most half of chance; beside" in client.get(address).text
    with database.begin() as session:
        session.execute(update(Run).values(chance_level=2.302))
    assert "at most half of chance, here 1.15 of 2.3; beside" in client.get(address).text


def test_where_variants_have_losses_of_their_own_no_single_one_counts_as_learned(
    client: TestClient, database: Database
) -> None:
    experiment = made.submit(client, seeds=[0], remedies=[{"kind": "label_smoothing"}])
    made.train_all(database, experiment)
    with database.begin() as session:
        session.execute(update(Run).values(chance_level=2.302))
    assert "at most half of chance; beside" in client.get(f"/v1/experiments/{experiment['id']}/report").text


def test_layers_inside_branches_are_counted_apart(client: TestClient, database: Database) -> None:
    network = {"kind": "residual_mlp", "blocks": 3, "width": 8}
    experiment = made.submit(client, network=network, seeds=[0])
    lease, plan = made.claim(database, made.run_ids(database, experiment)[0])
    made.write(database, lease, plan, np.ones((len(SIGNALS), len(plan.network.layers), 4)))
    page = client.get(f"/v1/experiments/{experiment['id']}/report").text
    assert "4 hidden layers (3 layers inside branches left out), first at the bottom" in page
    assert "hidden layer 1 to 4<" in page


def test_a_png_returns_its_pixels() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    packed = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    lines = zlib.decompress(packed)
    assert lines == b"\x00" + pixels[0].tobytes() + b"\x00" + pixels[1].tobytes()
