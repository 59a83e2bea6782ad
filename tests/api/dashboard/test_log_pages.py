"""A log of a finished training in a real browser: what it has is drawn, and what it lacks is said."""

import numpy as np
from playwright.sync_api import expect

from tests.api.dashboard.conftest import Stored, Visitor, accessible
from tests.api.routes import test_logs as logs


def test_a_log_has_curves_and_a_verdict_and_no_maps(visitor: Visitor, stored: Stored) -> None:
    loss = np.r_[logs.FALLS[:60], np.full(40, np.nan)]
    run = logs.judged(stored.served.client, logs.rows(loss), {"outcome": "diverged"}, experiment="a log")
    page = visitor.open(f"#/run/{run['id']}")
    expect(page.locator(".answer")).to_contain_text(logs.FIRST)
    expect(page.locator(".mark-words")).to_have_text("First value that is not finite: step 60, in the loss.")
    expect(page.get_by_text("No layers were recorded: the log")).to_be_visible()
    expect(page.get_by_label("Signal")).to_have_count(0)
    expect(page.locator("canvas, svg").first).to_be_visible()
    page.get_by_role("button", name="Show").first.click()
    page.get_by_label("Curve").select_option("penalty")
    expect(page.get_by_text("No penalty is recorded.")).to_be_visible()
    accessible(page)
    page = visitor.open(f"#/experiment/{run['experiment_id']}")
    expect(page.locator(".answer")).to_contain_text("By the loss alone")
    expect(page.get_by_role("region", name="Variants").get_by_role("row")).to_have_count(2)
    # What a log never has is no row of dashes and no picture that is "not there yet".
    expect(page.get_by_role("columnheader", name="G at start")).to_have_count(0)
    expect(page.get_by_role("heading", level=2)).to_have_text(
        ["Answer", "Variants", "Gradients by layer and step", "Curves", "Notes", "Runs"]
    )
    accessible(page)
    expect(page.get_by_role("button", name="Heat maps, SVG")).to_have_count(0)
    page = visitor.open("#/wall")  # the newest is the first
    expect(page.get_by_role("img", name="Loss of all variants")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("a log")
    expect(page.get_by_role("region", name="Heat maps of all variants")).to_have_count(0)
    page = visitor.open(f"#/compare?runs={run['id']}")
    expect(page.get_by_text("baseline").first).to_be_visible()
