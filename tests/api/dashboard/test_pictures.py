"""Words in pictures can be read on a phone and from afar, and none lies on another or beyond the edge."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from api.routes.pictures import LEAST_WIDTH
from tests.api.dashboard.conftest import Json, Stored, Visitor

PHONE: ViewportSize = {"width": 380, "height": 800}
SMALLEST_PX = 10.0
AFAR_PX = 14.0
SIZES = """() => [...document.querySelectorAll('svg text')].filter(one => one.checkVisibility()).map(one => {
    const scale = one.getScreenCTM().a;
    const {left, right, top, bottom} = one.getBoundingClientRect();
    const edge = one.ownerSVGElement.getBoundingClientRect();
    const inside = left >= edge.left - 1 && right <= edge.right + 1 && top >= edge.top - 1 && bottom <= edge.bottom + 1;
    const size = parseFloat(getComputedStyle(one).fontSize) * scale;
    return {words: one.textContent, size, inside, left, right, top, bottom};
})"""

AS_DRAWN = """() => [...document.querySelectorAll('img.drawn')].every(one => {
    const scale = one.clientWidth / one.naturalWidth;
    return 1 <= scale && scale < 1.1;
})"""


@dataclass
class Asked:
    """The drawings that a page has asked for, newest last."""

    addresses: list[str]

    @classmethod
    def by(cls, page: Page) -> "Asked":
        asked = cls([])
        drawing = re.compile(r"\.svg\?")
        page.on("request", lambda request: asked.addresses.append(request.url) if drawing.search(request.url) else None)
        return asked


def scales(page: Page, count: int) -> Sequence[float]:
    """How many times as large as drawn each picture is shown, once ``count`` are there."""
    images = page.locator("img.drawn")
    expect(images).to_have_count(count)
    there = f"() => [...document.querySelectorAll('img.drawn')].filter(one => one.naturalWidth).length === {count}"
    page.wait_for_function(there)
    return [float(one) for one in images.evaluate_all("all => all.map(one => one.clientWidth / one.naturalWidth)")]


def drawings_are_legible(visitor: Visitor, addresses: Sequence[str], smallest: float, scale: float) -> None:
    """As a browser lays out their words; of drawings that differ in their variant alone, one."""
    page = visitor.context.new_page()
    for address in {re.sub(r"variant=\w+", "", one): one for one in addresses}.values():
        page.goto(address)
        legible(page.evaluate(SIZES), smallest, scale)


def legible(words: Sequence[Json], smallest: float, scale: float = 1.0) -> None:
    assert words
    assert [one for one in words if one["size"] * scale < smallest] == []
    assert [one["words"] for one in words if not one["inside"]] == []
    apart = [(one["words"], other["words"]) for at, one in enumerate(words) for other in words[:at] if meet(one, other)]
    assert apart == []


def meet(one: Json, other: Json) -> bool:
    """By more than the empty part of a line's height."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    along = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return bool(across > 1.0 and along > 4.0)


def test_words_are_read_on_a_phone(visitor: Visitor, stored: Stored) -> None:
    asked = Asked.by(visitor.page)
    page = visitor.open(f"#/experiment/{stored.sick['id']}")
    assert all(1.0 <= one < 1.1 for one in scales(page, 6))
    wide = len(asked.addresses)
    # Who turns a phone or narrows a window gets other drawings.
    page.set_viewport_size(PHONE)
    page.wait_for_function(AS_DRAWN)
    assert len(asked.addresses) >= wide + 6
    experiment = f"{visitor.address}/v1/experiments/{stored.sick['id']}"
    narrowest = [f"{experiment}/{name}.svg?width={LEAST_WIDTH}" for name in ("heatmaps", "curves", "comparison")]
    drawings_are_legible(visitor, [*asked.addresses[wide:], *narrowest], SMALLEST_PX, 1.0)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_phase_diagram_is_read_on_a_phone(visitor: Visitor) -> None:
    visitor.page.set_viewport_size(PHONE)
    asked = Asked.by(visitor.page)
    page = visitor.open("#/predict")
    (scale,) = scales(page, 1)
    assert 1.0 <= scale < 1.1
    drawings_are_legible(visitor, asked.addresses[-1:], SMALLEST_PX, scale)


def test_the_wall_is_read_from_afar_and_fits_its_screen(visitor: Visitor, stored: Stored) -> None:
    sick = stored.served.client.get(f"/v1/experiments/{stored.sick['id']}").json()
    visitor.context.route(re.compile(r"/v1/experiments\?"), lambda route: route.fulfill(json={"items": [sick]}))
    visitor.page.set_viewport_size({"width": 2560, "height": 1440})
    asked = Asked.by(visitor.page)
    page = visitor.open("#/wall?every=600")
    scale = min(scales(page, 3))
    drawings_are_legible(visitor, asked.addresses, AFAR_PX, scale)
    assert page.evaluate("document.documentElement.scrollHeight") <= 1440


@pytest.mark.parametrize("width", [380, 1280])
def test_the_report_s_words_are_read_at_every_width(browser: Browser, stored: Stored, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{stored.served.address}/v1/experiments/{stored.sick['id']}/report")
        legible(page.evaluate(SIZES), SMALLEST_PX)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
