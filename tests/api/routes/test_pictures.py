"""Pictures as files: what they show is what the comparison says, and they hold nothing that could run."""

import io
import itertools
import math
import re
import struct
import zlib
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from api.dashboard.assets import STATIC
from api.report import palette
from api.report.curves import over_seeds
from api.report.pixels import MOST_PIXELS, rasterised
from api.routes.pictures import PIXELS
from gradient_clinic.maps.colours import colours
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models.storage.database import Database
from models.traces.buckets import Buckets, bucket_size
from models.traces.pictures import Picture
from tests.api import made
from tests.api.http.test_headers import policy

NAME = "x<script>&\"'"


def drawn(client: TestClient, path: str) -> ET.Element:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    directives = policy(answer)
    assert directives["default-src"] == ["'none'"]
    assert [source.partition("-")[0] for source in directives["style-src"]] == ["'sha256"]
    root = ET.fromstring(answer.content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [one.tag for one in root.iter() if "script" in one.tag]
    assert not re.search(r"\son\w+=|https?://(?!www\.w3\.org/2000/svg)", answer.text)
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    return root


def words(root: ET.Element) -> str:
    return " ".join(one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text"))


def experiment_of(client: TestClient, database: Database) -> str:
    variants = [{"name": NAME, "remedies": [{"kind": "batch_norm"}]}]
    experiment = made.submit(client, variants=variants)
    made.train_all(database, experiment, (-2.0, 0.1))
    return f"/v1/experiments/{experiment['id']}"


def test_the_forest_plot_shows_the_difference_that_the_answer_names(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    comparison = client.get(f"{path}/comparison").json()
    versus = comparison["variants"][1]["versus_baseline"]
    assert versus["shown_by"] == "success_difference"
    text = words(drawn(client, f"{path}/comparison.svg"))
    assert NAME in text
    assert f"{versus['success_difference']['mean']:+.3g}" in text


def test_outcomes_have_a_row_for_each_variant(client: TestClient, database: Database) -> None:
    text = words(drawn(client, f"{experiment_of(client, database)}/outcomes.svg"))
    assert "baseline" in text
    assert NAME in text


def test_a_profile_has_a_point_for_each_hidden_layer(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    root = drawn(client, f"{path}/profile.svg")
    assert len([one for one in root.iter() if one.get("class") == "measured"]) == 3
    assert client.get(f"{path}/profile.svg", params={"variant": NAME}).status_code == 200
    made.problem(client.get(f"{path}/profile.svg", params={"variant": "nobody"}), 404)


def test_maps_of_all_variants_are_in_one_picture(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    root = drawn(client, f"{path}/heatmaps.svg")
    images = [one.get("href", "") for one in root.iter("{http://www.w3.org/2000/svg}image")]
    assert len(images) == 2 + 1  # and the scale
    assert all(one.startswith("data:image/png;base64,") for one in images)
    report = client.get(f"{path}/report").text
    assert images[0] in report
    assert images[1] in report


def test_a_run_s_map_is_the_same_as_svg_and_as_png(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    run = client.get(f"{path}/runs").json()["items"][0]
    root = drawn(client, f"{run['links']['self']}/heatmap.svg")
    assert f"{run['variant']}, seed {run['seed']}" in words(root)
    answer = client.get(f"{run['links']['self']}/heatmap.png")
    assert answer.headers["content-type"] == "image/png"
    width, height = struct.unpack_from(">II", answer.content, 16)
    assert (width, height) == (4 * PIXELS, 3 * PIXELS)
    lines = zlib.decompress(answer.content[answer.content.index(b"IDAT") + 4 : -16])
    rows = np.frombuffer(lines, dtype=np.uint8).reshape(height, 1 + 3 * width)[:, 1:].reshape(height, width, 3)
    gain = -2.0  # of the first seed, in each of two increments
    expected = colours(np.repeat([[0.0], [gain], [2 * gain]], 4, axis=1), 12.0)
    assert np.abs(rows[::PIXELS, ::PIXELS].astype(int) - expected).max() <= 1


def test_curves_have_a_line_and_a_band_for_each_variant(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    root = drawn(client, f"{path}/curves.svg?curve=gradient_norm")
    kinds = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert kinds.count("polyline") == kinds.count("polygon") == 2
    assert "gradient norm" in words(root)
    made.problem(client.get(f"{path}/curves.svg?curve=nothing"), 422)


def test_a_curve_of_one_finite_value_is_a_dot(client: TestClient, database: Database) -> None:
    experiment = made.submit(client, remedies=[{"kind": "l2"}], seeds=[0])
    for run_id, finite in zip(made.run_ids(database, experiment), (4, 1), strict=True):
        lease, plan = made.claim(database, run_id)
        curves_ = np.ones((len(CURVES), 4))
        curves_[CURVES.index("loss"), finite:] = np.nan
        made.write(database, lease, plan, made.values(plan, 0.0), curves_, ended=True)
        made.finish(database, lease, plan)
    root = drawn(client, f"/v1/experiments/{experiment['id']}/curves.svg")
    kinds = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert (kinds.count("polyline"), kinds.count("circle")) == (1, 1)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=4), st.integers(0, 999))
def test_runs_of_any_length_are_gathered_without_losing_an_extreme(shapes: list[tuple[int, int]], seed: int) -> None:
    values = [np.random.default_rng(seed + at).normal(size=records) for at, (records, _) in enumerate(shapes)]
    values[0][:: max(len(values[0]) // 2, 1)] = np.nan
    pictures = [picture_of(one, points) for one, (_, points) in zip(values, shapes, strict=True)]
    steps = max(pictures, key=lambda one: int(one.steps[-1, 1])).steps[:, 0].astype(float)
    band = over_seeds(pictures, steps)
    for name, least in (("low", min), ("high", max)):
        found = getattr(band, name)
        whole = [value for one in values for value in one.tolist() if math.isfinite(value)]
        assert least(found[np.isfinite(found)].tolist(), default=None) == least(whole, default=None)
    assert np.all((band.low <= band.mean) | np.isnan(band.mean))
    assert np.all((band.high >= band.mean) | np.isnan(band.mean))


def picture_of(values: Array, points: int) -> Picture:
    size = bucket_size(len(values), points)
    firsts = np.arange(0, len(values), size)
    steps = np.stack([firsts, np.minimum(firsts + size, len(values)) - 1], axis=1)
    return Picture(steps, Buckets.of(values[np.newaxis], size), raw=size == 1)


def test_colours_of_variants_are_those_of_the_dashboard() -> None:
    text = (STATIC / "colours.js").read_text()
    for name, expected in (("LIGHT", palette.LIGHT), ("DARK", palette.DARK)):
        line = re.search(rf"export const {name} = \[(.+)\];", text)
        assert line is not None
        assert tuple(re.findall(r"#\w{6}", line[1])) == expected


def test_before_anything_has_ended_a_picture_says_so(client: TestClient) -> None:
    path = f"/v1/experiments/{made.submit(client)['id']}"
    assert words(drawn(client, f"{path}/comparison.svg")) == "nothing to compare"
    assert words(drawn(client, f"{path}/outcomes.svg")) == "no metric is known"
    assert words(drawn(client, f"{path}/heatmaps.svg")) == "nothing is recorded"
    assert words(drawn(client, f"{path}/curves.svg")) == "nothing is recorded"
    run = client.get(f"{path}/runs").json()["items"][0]["links"]["self"]
    made.problem(client.get(f"{run}/heatmap.png"), 409)


def painted(client: TestClient, path: str) -> npt.NDArray[np.uint8]:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_every_drawing_is_there_as_pixels_of_twice_its_size(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    for name in (
        "comparison",
        "outcomes",
        "profile",
        "heatmaps",
        "curves?curve=gradient_norm",
        "/v1/predictions/phase",
    ):
        page, _, query = name.partition("?")
        where = page if page.startswith("/") else f"{path}/{page}"
        _, _, width, height = map(float, (drawn(client, f"{where}.svg?{query}").get("viewBox") or "").split())
        assert painted(client, f"{where}.png?{query}").shape == (2 * height, 2 * width, 3)
    made.problem(client.get(f"{path}/profile.png", params={"variant": "nobody"}), 404)
    made.problem(client.get(f"{path}/comparison.gif"), 404)


def test_a_picture_is_laid_out_for_the_width_that_is_asked_for(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    drawings = [f"{path}/{name}.svg" for name in ("comparison", "outcomes", "profile", "heatmaps", "curves")]
    run = client.get(f"{path}/runs").json()["items"][0]["links"]["self"]
    for where in (*drawings, f"{run}/heatmap.svg", "/v1/predictions/phase.svg"):
        root = drawn(client, f"{where}?width=340")
        assert root.get("width") == (root.get("viewBox") or "").split()[2] == "340"
        assert root.get("viewBox") != drawn(client, where).get("viewBox")
        made.problem(client.get(where, params={"width": 279}), 422)
        made.problem(client.get(where, params={"width": 1_601}), 422)
    empty = drawn(client, f"/v1/experiments/{made.submit(client)['id']}/comparison.svg?width=340")
    assert (words(empty), empty.get("width")) == ("nothing to compare", "340")


def test_maps_are_lower_where_there_is_less_room(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)

    def height(query: str) -> float:
        return float((drawn(client, f"{path}/heatmaps.svg?width=340{query}").get("viewBox") or "").split()[3])

    assert height("&height=300") == pytest.approx(300.0, abs=1.0)
    assert 200.0 < height("&height=200") < 300.0  # so low that nothing were seen is none
    assert height("&height=2000") == height("")
    made.problem(client.get(f"{path}/heatmaps.svg", params={"height": 199}), 422)


def test_states_beyond_the_longest_case_are_blank_and_values_not_finite_are_black(
    client: TestClient, database: Database
) -> None:
    """In both a state has no number; the count of what is not finite tells them apart."""
    asked = {"dataset": {"kind": "mnist_5k"}, "network": {"kind": "rnn", "width": 4}, "seeds": [0]}
    shown = []
    for broken in (False, True):
        experiment = made.submit(client, **asked)
        lease, plan = made.claim(database, made.run_ids(database, experiment)[0])
        signals = np.ones((len(SIGNALS), len(plan.network.rows), 4))
        first = len(plan.layers)  # of the states, which follow the layers
        signals[SIGNALS.index("nonfinite_count")] = 0.0
        signals[SIGNALS.index("activation_gradient_rms"), first] = np.nan
        if broken:
            signals[SIGNALS.index("nonfinite_count"), :first] = 3.0
        made.write(database, lease, plan, signals)
        path = f"/v1/experiments/{experiment['id']}"
        rings = [one for one in drawn(client, f"{path}/heatmaps.svg").iter() if one.get("class") == "broken"]
        run = client.get(f"{path}/runs").json()["items"][0]["links"]["self"]
        corner = Image.open(io.BytesIO(client.get(f"{run}/heatmap.png").content)).convert("RGBA").getpixel((0, -1))
        shown.append((len(rings), corner, client.get(f"{path}/report").text.count("blank where no case")))
    assert shown == [(0, (20, 20, 20, 0), 1), (1, (20, 20, 20, 255), 0)]


def test_pixels_hold_the_letters(client: TestClient) -> None:
    """Of a picture that has nothing but words, on white; without a font it would be empty."""
    path = f"/v1/experiments/{made.submit(client)['id']}"
    picture = painted(client, f"{path}/comparison.png")
    ink = (picture < 200).any(axis=2)
    letters = len("nothing to compare".replace(" ", ""))
    # Columns of ink, with a gap between most letters.
    strokes = int((np.diff(ink.any(axis=0).astype(int)) == 1).sum())
    assert letters / 2 < strokes <= letters + 1
    assert (picture[:, -100:] == 255).all()


def test_pixels_of_a_map_are_squares_and_not_smooth(client: TestClient, database: Database) -> None:
    experiment = made.submit(client)
    made.train_all(database, experiment, (-2.0,))
    picture = painted(client, f"/v1/experiments/{experiment['id']}/heatmaps.png")
    # 3 layers over 4 steps, all steps alike: first layer at the bottom.
    expected = [tuple(one) for one in colours(np.array([[0.0], [-2.0], [-4.0]]), 12.0)[:, 0].tolist()]
    column = [tuple(one) for one in picture[:, picture.shape[1] // 2].tolist()]
    seen = [colour for colour, _ in itertools.groupby(column) if colour in expected[1:]]
    assert seen == expected[1:]
    edge = column.index(expected[2])
    assert column[edge - 1] == expected[1]


def test_what_would_be_too_large_is_smaller_or_refused() -> None:
    def of(height: int) -> bytes:
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" width="920"/>'.encode()

    size = struct.unpack_from(">II", rasterised(of(10_000)), 16)
    assert MOST_PIXELS * 0.98 < math.prod(size) < MOST_PIXELS * 1.02
    with pytest.raises(ValueError, match="920 by 14000 it is too large"):
        rasterised(of(14_000))


def test_the_phase_diagram_has_the_critical_points_that_are_known(reader: TestClient) -> None:
    """tanh without bias: σw² = 1 (Poole et al. 2016)."""
    root = drawn(reader, "/v1/predictions/phase.svg?activation=tanh&weight_variance=1&bias_variance=0")
    (line,) = [one.get("points", "").split() for one in root.iter("{http://www.w3.org/2000/svg}polyline")]
    (place,) = root.iter("{http://www.w3.org/2000/svg}circle")
    assert line[0] == f"{place.get('cx')},{place.get('cy')}"
    across = [float(point.split(",")[0]) for point in line]
    assert across == sorted(across)  # a bias asks for larger weights (Poole et al. 2016, figure 1)
    assert "no critical line" in words(drawn(reader, "/v1/predictions/phase.svg?activation=tanhshrink"))
    made.problem(reader.get("/v1/predictions/phase.svg?activation=nothing"), 422)
    made.problem(reader.get("/v1/predictions/phase.svg?weight_variance=-1"), 422)
