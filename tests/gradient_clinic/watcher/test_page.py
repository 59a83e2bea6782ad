"""The page of a watch: whole in itself, strict, and its maps are of what was recorded."""

import base64
import hashlib
import re
import zlib

import numpy as np
import pytest
from torch import nn

from gradient_clinic.maps.colours import SILENT, Bytes, colours, scale_limit
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.watch import Watch, watch
from tests.gradient_clinic.watcher.test_report import Breaking, drawn, sgd, trained

DELTA = SIGNALS.index("activation_gradient_rms")


def pixels(page: str) -> list[Bytes]:
    """Of every map, rows from the first layer on."""
    found: list[Bytes] = []
    for sent in re.findall(r'<img class=map [^>]*src="data:image/png;base64,([^"]+)"', page):
        png = base64.b64decode(sent)
        columns, rows = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
        length = int.from_bytes(png[33:37])
        lines = np.frombuffer(zlib.decompress(png[41 : 41 + length]), np.uint8).reshape(rows, 1 + 3 * columns)
        found.append(lines[::-1, 1:].reshape(rows, columns, 3))
    return found


def ratios(watched: Watch, signal: int) -> Array:
    """ln of every hidden layer's signal over the last one's, from the records themselves."""
    hidden = [index for index, row in enumerate(watched.rows) if row.role == "hidden"]
    values = np.log(np.stack([record.matrix[signal, hidden] for record in watched.records.kept()], axis=1))
    return np.asarray(values - values[-1])


def test_the_maps_are_of_what_was_recorded() -> None:
    model = drawn(8, 0.3)
    watched = trained(model, sgd(model, 0.01), 60)
    levels = [ratios(watched, signal) for signal in (DELTA, SIGNALS.index("activation_rms"))]
    limit = scale_limit(levels)
    for ours, drawn_pixels in zip(levels, pixels(watched.report("html")), strict=True):
        np.testing.assert_array_equal(drawn_pixels, colours(ours, limit))


def test_where_records_are_few_the_last_one_stands() -> None:
    model = drawn(4)
    watched = trained(model, sgd(model, 0.01), 100, every=25)
    gradients, _ = pixels(watched.report("html"))
    levels = ratios(watched, DELTA)
    assert gradients.shape == (4, 76, 3)  # steps 0 to 75
    limit = scale_limit([levels, ratios(watched, SIGNALS.index("activation_rms"))])
    np.testing.assert_array_equal(gradients, colours(levels[:, np.arange(76) // 25], limit))


def test_a_long_training_has_as_many_columns_as_a_page_has_room_for() -> None:
    model = drawn(2)
    watched = trained(model, sgd(model, 0.01), 450)
    assert [its.shape[1] for its in pixels(watched.report("html"))] == [200, 200]


def test_what_is_silent_and_what_broke_is_seen() -> None:
    model = drawn(3)
    model.insert(4, Breaking(at=20))
    nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]
    page = trained(model, sgd(model, 0.01), 30).report("html")
    gradients, _ = pixels(page)
    assert tuple(gradients[0, 0]) == SILENT
    assert "then not finite (recorded to step 29)" in page


class Named(nn.Sequential):
    """Whose modules are called by what HTML would take for its own."""


def test_it_is_whole_in_itself_and_escapes_every_name() -> None:
    model = Named()
    for index, module in enumerate(drawn(3)):
        model.add_module(f"<script>alert({index})</script>&\"'", module)
    page = trained(model, sgd(model, 0.01), 20).report("html")
    assert "<script" not in page
    assert "&lt;script&gt;alert(0)&lt;/script&gt;&amp;" in page
    assert not re.search(r'(?:src|href)=(?!"?data:)', page)
    assert not re.search(r"\sstyle=|\son\w+=", page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script-src" not in policy


def test_it_says_what_the_report_says() -> None:
    model = drawn(12, 0.1)
    watched = trained(model, sgd(model, 0.01), 60)
    page = watched.report("html")
    assert "vanishing: Gradients vanish on their way to the input." in page
    assert "<h2>What it rests on</h2>" in page
    assert "<td>total gain" in page or "<td>activation gradient rms" in page


@pytest.mark.parametrize("signals", ["all", "weights"])
def test_before_there_is_anything_to_draw_there_is_no_map(signals: str) -> None:
    model = drawn(3)
    page = watch(model, sgd(model, 0.01), signals=signals).report("html")  # type: ignore[arg-type]
    assert pixels(page) == []
    assert "0 steps, 0 recorded" in page
