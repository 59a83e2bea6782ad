"""Pictures of every page to look at: three widths, light and dark, in ``.clinic-shots/`` (``pytest -m long``)."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.api.dashboard.conftest import Stored, run_of
from tests.processes import ROOT

SHOTS = ROOT / ".clinic-shots"
pytestmark = pytest.mark.long


@pytest.mark.parametrize("width", [380, 1280, 2560])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_drawn(browser: Browser, stored: Stored, width: int, theme: Literal["light", "dark"]) -> None:
    SHOTS.mkdir(exist_ok=True)
    sick, broken = stored.sick["id"], run_of(stored, stored.broken)["id"]
    pages = {
        "experiments": "",
        "experiment": f"#/experiment/{sick}",
        "run": f"#/run/{broken}",
        "compare": f"#/compare?experiments={sick}&runs={broken}",
        "new": f"#/new?from={sick}",
        "predict": "#/predict",
        "wall": "#/wall",
    }
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme) as context:
        page = context.new_page()
        for name, hash_ in pages.items():
            page.goto("about:blank")
            page.goto(f"{stored.served.address}/dashboard/{hash_}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_load_state("networkidle" if hash_ else "load")
            page.screenshot(path=SHOTS / f"{name}-{width}-{theme}.png", full_page=True)
            assert (SHOTS / f"{name}-{width}-{theme}.png").stat().st_size > 0
