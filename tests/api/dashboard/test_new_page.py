"""A new experiment in a real browser: form and spec write each other, and problems stand at their field."""

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect

from models import runs
from tests.api import made
from tests.api.dashboard.conftest import Stored, Visitor, accessible
from tests.processes import ROOT

REFUSED = "status of 422"


def at(page: Page, path: str) -> Locator:
    """The control of a field of the spec."""
    return page.locator(f'[data-path="{path}"]')


def spec_of(page: Page) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(page.get_by_label("The spec as JSON").input_value())
    return spec


def test_a_form_becomes_an_experiment(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/new")
    at(page, "name").fill("by the form")
    at(page, "network.depth").fill("6")
    at(page, "network.activation").select_option("tanh")
    at(page, "network.init").select_option("gaussian")
    at(page, "network.init.weight_variance").fill("1.5")
    page.get_by_label("Add a remedy").select_option("l2")
    at(page, "remedies[0].strength").fill("0.01")
    at(page, "epochs").fill("")
    at(page, "steps").fill("3")
    at(page, "seeds").fill("[7, 8]")
    page.keyboard.press("Tab")
    expect(page.locator(".cost")).to_contain_text("4 runs of 3 steps")
    accessible(page)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("by the form")
    asked = page.url.rsplit("/", 1)[1]
    spec = stored.served.client.get(f"/v1/experiments/{asked}").json()["spec"]
    assert (spec["network"]["depth"], spec["network"]["activation"], spec["steps"], spec["epochs"]) == (
        6,
        "tanh",
        3,
        None,
    )
    assert spec["network"]["init"] | {"weight_variance": 1.5, "kind": "gaussian"} == spec["network"]["init"]
    assert spec["remedies"][0] | {"kind": "l2", "strength": 0.01} == spec["remedies"][0]
    assert spec["seeds"] == [7, 8]
    visitor.complaints[:] = [one for one in visitor.complaints if REFUSED not in one]  # of the spec half written
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator(".head")).to_contain_text("cancelled")


def test_a_problem_stands_at_its_field_in_the_words_of_the_api(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/new")
    depth = at(page, "network.depth")
    depth.fill("1")
    wrong = spec_of(page)
    assert wrong["network"]["depth"] == 1
    problem = made.problem(stored.served.client.post("/v1/experiments/validate", json=wrong), 422)["errors"][0]
    assert problem["field"] == "network.depth"
    expect(page.locator("[id='problem:network.depth']")).to_have_text(problem["message"])
    expect(depth).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Start")).to_be_disabled()
    depth.fill("4")
    expect(page.locator("[id='problem:network.depth']")).to_be_empty()
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    # The browser writes a line for each answer of this kind.
    visitor.complaints[:] = [one for one in visitor.complaints if REFUSED not in one]


def test_a_pasted_spec_fills_the_form_and_what_is_no_json_says_where(visitor: Visitor) -> None:
    page = visitor.open("#/new")
    text = page.get_by_label("The spec as JSON")
    text.fill((ROOT / "examples" / "deep-sigmoid.json").read_text())
    expect(page.locator(".cost")).to_contain_text("25 runs of 110 steps")
    expect(at(page, "network.depth")).to_have_value("20")
    expect(page.locator("fieldset.remedy")).to_have_count(4)
    text.fill('{"name": ')
    expect(page.get_by_role("alert").filter(has_text="JSON")).to_be_visible()
    page.get_by_label("Example").select_option("untrained")
    expect(at(page, "steps")).to_have_value("0")
    assert spec_of(page)["network"]["depth"] == 50


def test_what_has_failed_is_tried_again(visitor: Visitor, stored: Stored) -> None:
    client, database = stored.served.client, stored.database
    asked = made.submit(client, name="fails", seeds=[0])
    lease, _ = made.claim(database, made.run_ids(database, asked)[0])
    with database.begin() as session:
        assert runs.fail(session, lease, {"detail": "it broke"})
    page = visitor.open(f"#/experiment/{asked['id']}")
    expect(page.locator(".head")).to_contain_text("failed")
    page.get_by_role("link", name="baseline, seed 0").click()
    expect(page.locator(".answer")).to_contain_text("it broke")
    page.go_back()
    page.get_by_role("button", name="Retry failed runs").click()
    expect(page.locator(".head")).to_contain_text("running")


def test_one_that_was_run_is_asked_again_with_a_change(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open(f"#/experiment/{stored.sick['id']}")
    page.get_by_role("link", name="Again, changed").click()
    expect(page.locator("fieldset.remedy")).to_have_count(3)
    expect(page.locator(".cost")).to_contain_text("12 runs of 40 steps")
    assert spec_of(page)["labels"] == {"team": "vision"}
