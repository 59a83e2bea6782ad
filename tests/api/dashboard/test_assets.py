"""The dashboard's files: how they are sent, how large they are, whose they are, and which colours they have."""

import gzip
import hashlib
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.dashboard.assets import STATIC, assets, uplot_file
from gradient_clinic.maps import colours
from gradient_clinic.values import Array
from tests.api.http.test_headers import policy
from tests.processes import ROOT

UPLOT_SHA256 = "655bc8aa33781e8721c5af6b59f1699c03c9bda951aa74a6ab518ac20cc4326d"
MOST_PACKED = 120_000
COLOURS = (STATIC / "colours.js").read_text()


def test_the_page_may_run_its_own_scripts_and_nothing_else(reader: TestClient) -> None:
    directives = policy(reader.get("/dashboard/"))
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == ["'self'"]
    assert directives["require-trusted-types-for"] == ["'script'"]
    assert directives["trusted-types"] == ["'none'"]
    assert directives["frame-ancestors"] == directives["base-uri"] == directives["form-action"] == ["'none'"]


def test_no_file_of_ours_has_what_the_policy_keeps_out() -> None:
    text = "".join(file.read_text() for file in STATIC.iterdir())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", text)
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=\"|style=\"|javascript:", text)


@pytest.mark.parametrize("name", sorted(assets()))
def test_every_file_is_sent_as_it_is_or_packed_and_once(reader: TestClient, name: str) -> None:
    plain = reader.get(f"/dashboard/{name}", headers={"Accept-Encoding": "identity"})
    assert plain.status_code == 200
    assert plain.content == (uplot_file() if name == "uplot.js" else STATIC / name).read_bytes()
    with reader.stream("GET", f"/dashboard/{name}", headers={"Accept-Encoding": "br, gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(packed.iter_raw())) == plain.content
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    again = reader.get(f"/dashboard/{name}", headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*", True),
        ("br, GZIP;q=0.5", True),
        ("x", False),
    ],
)
def test_who_takes_no_gzip_gets_none(reader: TestClient, accepted: str, packs: bool) -> None:  # noqa: FBT001
    answer = reader.get("/dashboard/", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") == packs


@pytest.mark.parametrize("path", ["nothing.js", "__init__.py", "..%2Fassets.py", "%2e%2e/assets.py"])
def test_nothing_beside_its_files_is_sent(reader: TestClient, path: str) -> None:
    assert reader.get(f"/dashboard/{path}").status_code == 404


def test_the_page_has_one_address(reader: TestClient) -> None:
    answer = reader.get("/dashboard", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/dashboard/")


def test_all_scripts_together_are_small() -> None:
    scripts = [asset.packed for name, asset in assets().items() if name.endswith(".js")]
    assert sum(map(len, scripts)) <= MOST_PACKED


def test_uplot_is_the_one_that_was_looked_at() -> None:
    assert hashlib.sha256(uplot_file().read_bytes()).hexdigest() == UPLOT_SHA256


def test_the_image_of_the_api_has_the_files() -> None:
    """The Dockerfile copies the room whole, and nothing of it is ignored."""
    assert "COPY api api" in (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "!api/" in ignored
    assert [line for line in ignored if "static" in line or line.endswith((".js", ".css", ".html"))] == []
    assert Path("static") in {file.relative_to(STATIC.parent) for file in STATIC.parent.iterdir()}


def triples(name: str) -> list[list[int]]:
    text = re.search(rf"export const {name} = (\[\[?[\d, \[\]]+\]);", COLOURS)
    assert text is not None
    numbers = [int(number) for number in re.findall(r"\d+", text[1])]
    return [numbers[at : at + 3] for at in range(0, len(numbers), 3)]


def test_maps_have_the_colours_of_the_report() -> None:
    assert triples("STOPS") == colours.STOPS.tolist()
    assert triples("NOT_FINITE") == [list(colours.NOT_FINITE)]
    assert triples("SILENT") == [list(colours.SILENT)]
    assert f"SMALLEST_LIMIT = {colours.SMALLEST_LIMIT:g};" in COLOURS


# Machado, Oliveira & Fernandes 2009, severity 1: what linear RGB becomes for eyes without one kind of cone.
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
APART = 10.0
"""ΔE (CIE 1976) at which two lines are told apart at a glance."""
LEGIBLE = 3.0
"""Contrast of a line with its paper (WCAG 2.2, 1.4.11)."""


def linear(name: str) -> Array:
    text = re.search(rf"export const {name} = \[(.+)\];", COLOURS)
    assert text is not None
    return as_linear(re.findall(r"#(\w{6})", text[1]))


def as_linear(colours_: list[str]) -> Array:
    srgb = np.array([[int(one[at : at + 2], 16) for at in (0, 2, 4)] for one in colours_]) / 255.0
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    xyz = np.clip(rgb, 0.0, 1.0) @ XYZ.T / XYZ.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


@pytest.mark.parametrize("palette", ["LIGHT", "DARK"])
@pytest.mark.parametrize("eyes", [np.eye(3), np.array(PROTAN), np.array(DEUTAN)], ids=["all", "protan", "deutan"])
def test_colours_of_lines_are_told_apart_by_all_eyes(palette: str, eyes: Array) -> None:
    seen = lab(linear(palette) @ eyes.T)
    apart = {
        (one, other): float(np.linalg.norm(seen[one] - seen[other]))
        for one, other in itertools.combinations(range(len(seen)), 2)
    }
    assert {pair: distance for pair, distance in apart.items() if distance < APART} == {}


@pytest.mark.parametrize(("palette", "paper"), [("LIGHT", "ffffff"), ("DARK", "0d1117")])
def test_lines_stand_out_from_their_paper(palette: str, paper: str) -> None:
    lights = np.concatenate([linear(palette), as_linear([paper])]) @ XYZ[1]
    pairs = [(max(light, lights[-1]) + 0.05) / (min(light, lights[-1]) + 0.05) for light in lights[:-1]]
    assert min(pairs) >= LEGIBLE
