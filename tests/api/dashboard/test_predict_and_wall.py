"""Predictions by sliders, and the wall, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.api.dashboard.conftest import Stored, Visitor, accessible


def test_sliders_give_the_prediction_of_the_api_at_once(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/predict?activation=tanh&weight=1.5&bias=0.05")
    expect(page.locator(".answer")).to_contain_text("ordered")
    page.locator("[data-slider=weight]").fill("3")
    expect(page.locator(".answer")).to_contain_text("chaotic")
    network = {
        "kind": "mlp",
        "depth": 20,
        "width": 64,
        "activation": "tanh",
        "init": {"kind": "gaussian", "weight_variance": 3.0, "bias_variance": 0.05},
    }
    said = stored.served.client.post("/v1/predictions", json={"network": network}).json()
    expect(page.locator(".answer")).to_contain_text(f"×{said['gain_per_layer']:.3g}")
    expect(page).to_have_url(re.compile("weight=3"))
    page.wait_for_function("() => document.querySelector('.phase img')?.naturalWidth > 0")
    accessible(page)
    page.get_by_role("link", name="Make it an experiment").click()
    expect(page.locator('[data-path="network.init.weight_variance"]')).to_have_value("3")
    expect(page.locator(".cost")).to_contain_text("runs of")


def test_keys_move_the_sliders(visitor: Visitor) -> None:
    page = visitor.open("#/predict")
    page.locator("[data-slider=depth]").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("depth=21"))


@pytest.mark.long
def test_the_wall_goes_from_one_experiment_to_the_next(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/wall?every=2")
    heading = page.get_by_role("heading", level=1)
    names = [one["name"] for one in stored.served.client.get("/v1/experiments").json()["items"]]
    expect(heading).to_have_text(names[0])
    expect(page.locator(".bar")).to_be_hidden()
    expect(heading).to_have_text(names[1])
    accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    expect(page.locator(".bar")).to_be_visible()
