"""The report's heat maps: one axis of steps, what was not finite, what was exactly zero."""

import re

import numpy as np

from api.report.drawings import profile
from gradient_clinic.intervals import Estimate
from gradient_clinic.maps.colours import NOT_FINITE, SILENT
from gradient_clinic.maps.heatmaps import HeatMap, figure, last_step, legend
from models.analysis.comparison.parts import ProfileLayer


def heat(columns: int, size: int = 1, broken_from: int | None = None) -> HeatMap:
    """Two rows; ``columns`` buckets of ``size`` steps each."""
    levels = np.zeros((2, columns))
    if broken_from is not None:
        levels[0, broken_from:] = np.nan
    first = np.arange(columns) * size
    return HeatMap(levels, np.stack([first, first + size - 1], axis=1), "2 hidden layers")


def width(drawn: str) -> float:
    found = re.search(r'<img class=map width="([0-9.]+)%"', drawn)
    assert found is not None
    return float(found[1])


def test_a_map_is_as_wide_as_its_share_of_the_steps() -> None:
    maps = {"long": heat(100, size=2), "short": heat(22)}
    last = last_step(maps.values())
    assert last == 199
    assert width(figure("long", maps["long"], 12.0, last)) == 100.0
    assert width(figure("short", maps["short"], 12.0, last)) == 11.0  # 22 of 200
    assert last_step([]) == 0
    assert "No trace yet" in figure("none", HeatMap(np.zeros((2, 0)), np.zeros((0, 2), dtype=np.int64), ""), 12.0, 9)


def test_the_caption_says_which_steps_were_recorded_and_where_it_broke() -> None:
    assert "first at the bottom; steps 0 to 59<" in figure("a", heat(60), 12.0, 59)
    broken = figure("a", heat(42, broken_from=22), 12.0, 59)
    assert "steps 0 to 21, then not finite (recorded to step 41)" in broken
    assert "step 0, then not finite (recorded to step 20)" in figure("a", heat(21, broken_from=1), 12.0, 59)
    assert "steps 0 to 20, not finite" in figure("a", heat(21, broken_from=0), 12.0, 59)
    passing = heat(60)
    passing.levels[0, 5] = np.nan
    assert "steps 0 to 59<" in figure("a", passing, 12.0, 59)


def test_the_legend_has_what_is_no_number() -> None:
    drawn = legend(12.0)
    for colour, words in ((SILENT, "exactly zero"), (NOT_FINITE, "not finite")):
        assert re.search(rf'rgb\({",".join(map(str, colour))}\)"/></svg>{words}', drawn)
    assert "<span>−12</span><span>−3</span><span>0</span>" in drawn


def test_a_profile_counts_hidden_layers_as_the_map_does() -> None:
    layers = [layer(index, r) for index, r in ((1, -2.0), (3, -1.0), (9, 0.0))]  # branches lie between
    drawn = profile(layers, -4.0, 4.0)
    assert "hidden layer 1 to 3<" in drawn
    places = [float(x) for x in re.findall(r'<circle cx="([0-9.]+)"', drawn)]
    assert places == [40.0, 167.0, 294.0]


def test_labels_of_a_profile_do_not_lie_on_each_other() -> None:
    layers = [layer(1, -160.0), layer(2, 0.0)]
    assert re.findall(r'text-anchor="end">([^<]*)<', profile(layers, -165.0, 4.0)) == ["−165", "0"]
    assert re.findall(r'text-anchor="end">([^<]*)<', profile(layers, -4.0, 4.0)) == ["−4", "0", "+4"]
    assert re.findall(r'text-anchor="end">([^<]*)<', profile(layers, -4.0, 165.0)) == ["0", "+165"]


def layer(index: int, r: float) -> ProfileLayer:
    measured = Estimate(mean=r, low=None, high=None, n=1, method="t")
    return ProfileLayer(layer=f"l{index}", index=index, at_start=measured, at_end=None, predicted=r)
