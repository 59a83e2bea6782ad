"""Pages that live while they are used: what an event changes takes nothing out of a user's hands."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from models import runs
from models.runs import Lease
from tests.api import made
from tests.api.dashboard.conftest import BROKEN_STEP, Json, Stored, Visitor, accessible

LIST = re.compile(r"/v1/experiments\?")
COMPARISON = re.compile(r"/comparison$")
FOCUSED = "() => document.activeElement === window.watched && window.watched.isConnected"


@pytest.fixture
def two(stored: Stored) -> list[Json]:
    """Both wait; the second is the newer."""
    return [made.submit(stored.served.client, name=f"stays {name}", seeds=[0], steps=40) for name in ("a", "b")]


def cancel(stored: Stored, experiment: Json) -> None:
    stored.served.client.post(f"/v1/experiments/{experiment['id']}/cancel").raise_for_status()


def watch(page: Page, element: Locator) -> None:
    """Focus it, and remember this very element."""
    element.focus()
    page.evaluate("window.watched = document.activeElement")


def test_a_key_that_is_down_while_the_list_changes_still_selects(
    visitor: Visitor, stored: Stored, two: list[Json]
) -> None:
    page = visitor.open("#/experiments?search=stays&sort=-state")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_text([re.compile("stays b"), re.compile("stays a")])
    watch(page, page.get_by_label("Select stays b"))
    page.evaluate("getSelection().selectAllChildren(document.querySelectorAll('tbody a')[0])")
    page.keyboard.down("Space")
    cancel(stored, two[0])
    expect(rows.nth(1)).to_contain_text("cancelled")
    # Its place in the list changes, and a row comes: what has the focus is left where it is.
    cancel(stored, two[1])
    expect(rows.nth(0)).to_contain_text("cancelled")
    made.submit(stored.served.client, name="stays c", seeds=[0])
    expect(rows).to_have_text([re.compile("stays c"), re.compile("stays b"), re.compile("stays a")])
    assert page.evaluate(FOCUSED)
    assert page.evaluate("getSelection().toString()") == "stays b"
    page.keyboard.up("Space")
    expect(page.get_by_text("1 selected").first).to_be_visible()
    assert page.evaluate("window.watched.checked")


def test_a_click_meets_the_row_that_it_began_on(visitor: Visitor, stored: Stored, two: list[Json]) -> None:
    page = visitor.open("#/experiments?search=stays")
    boxes = page.locator("tbody input[type=checkbox]")
    expect(boxes).to_have_count(2)
    boxes.nth(0).hover()
    page.mouse.down()
    # Each list is shown before the next one is asked for: with the second answer the first has been.
    with page.expect_response(LIST):
        newest = made.submit(stored.served.client, name="stays c", seeds=[0])
    with page.expect_response(LIST):
        cancel(stored, newest)
    page.mouse.up()
    # What came meanwhile is shown once the click is done.
    expect(page.locator("tbody tr").nth(0)).to_contain_text("stays c")
    assert [boxes.nth(at).is_checked() for at in range(3)] == [False, True, False]
    assert f"selected={two[1]['id']}" in page.url


def test_shift_reaches_to_the_row_that_was_chosen_before_wherever_it_is(
    visitor: Visitor, stored: Stored, two: list[Json]
) -> None:
    page = visitor.open("#/experiments?search=stays")
    boxes = page.locator("tbody input[type=checkbox]")
    page.get_by_label("Select stays b").click()
    made.submit(stored.served.client, name="stays c", seeds=[0])
    expect(boxes).to_have_count(3)
    page.get_by_label("Select stays a").click(modifiers=["Shift"])
    assert [boxes.nth(at).is_checked() for at in range(3)] == [False, True, True]
    assert two


@pytest.fixture
def training(stored: Stored) -> Iterator[tuple[Json, Lease]]:
    """Some of its records are there, and more come."""
    experiment = made.submit(stored.served.client, name="trains", seeds=[0], steps=40)
    lease, plan = made.claim(stored.database, made.run_ids(stored.database, experiment)[0])
    made.write(stored.database, lease, plan, made.values(plan, 0.5)[..., :20])
    with stored.database.begin() as session:
        runs.beat(session, lease, 600.0, chance_level=2.3)
    yield experiment, lease
    stored.served.client.post(f"/v1/experiments/{experiment['id']}/cancel")


def beat(stored: Stored, lease: Lease, step: int) -> None:
    with stored.database.begin() as session:
        assert runs.beat(session, lease, 60.0, step=step)
        runs.events.tell_progress(session, lease.experiment_id, lease.run_id, 1.0)


@pytest.mark.long
def test_a_button_of_an_experiment_works_while_it_trains(
    visitor: Visitor, stored: Stored, training: tuple[Json, Lease]
) -> None:
    experiment, lease = training
    page = visitor.open(f"#/experiment/{experiment['id']}")
    expect(page.locator(".surface")).to_have_count(1)
    page.get_by_role("button", name="Delete").hover()
    page.mouse.down()
    for step in (25, 30):
        with page.expect_response(COMPARISON):
            beat(stored, lease, step)
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be undone")
    page.keyboard.press("Escape")
    expect(page.locator("header .progress")).to_contain_text("75 %")


@pytest.mark.long
def test_what_is_read_and_unfolded_of_an_experiment_stays_when_its_answer_changes(
    visitor: Visitor, stored: Stored, training: tuple[Json, Lease]
) -> None:
    experiment, _ = training
    page = visitor.open(f"#/experiment/{experiment['id']}")
    expect(page.locator(".surface")).to_have_count(1)
    page.locator("details.setup summary").click()
    page.locator(".map details summary").click()
    page.get_by_label("Curve").select_option("gradient_norm")
    watch(page, page.locator(".surface"))
    page.keyboard.press("ArrowRight")
    read = page.locator(".map output").text_content()
    assert read
    with stored.database.begin() as session:
        # The next of its runs' ends changes the comparison, by which the page is drawn anew.
        assert runs.fail(session, training[1], {"detail": "broken"})
    expect(page.locator("header .badge").first).to_have_text("failed")
    expect(page.get_by_role("button", name="Retry failed runs")).to_be_visible()
    assert page.evaluate(FOCUSED)
    assert page.locator(".map output").text_content() == read
    assert page.locator("details.setup").get_attribute("open") is not None
    expect(page.locator(".map details table")).to_be_visible()
    assert page.get_by_label("Curve").input_value() == "gradient_norm"
    accessible(page)


@pytest.mark.long
def test_a_run_that_ends_before_the_eyes_brings_its_evidence_and_leaves_the_rest(
    visitor: Visitor, stored: Stored
) -> None:
    experiment = made.submit(stored.served.client, name="ends", seeds=[0], steps=40)
    (run_id,) = made.run_ids(stored.database, experiment)
    lease, plan = made.claim(stored.database, run_id)
    made.write(stored.database, lease, plan, made.values(plan, -2.2)[..., : BROKEN_STEP + 17])
    page = visitor.open(f"#/run/{run_id}")
    expect(page.locator(".surface")).to_have_count(1)
    watch(page, page.get_by_label("Signal"))
    made.write(stored.database, lease, plan, made.values(plan, -2.2), ended=True)
    made.finish(stored.database, lease, plan)
    expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
    assert page.evaluate(FOCUSED)
    page.get_by_role("button", name="Show").first.click()
    expect(page.locator(".evidence")).to_be_visible()


RENEWED = """async (orders) => {
    const {renew} = await import("/dashboard/renew.js");
    const {h} = await import("/dashboard/dom.js");
    const list = h("ul", {});
    document.getElementById("main").replaceChildren(list);
    const row = (name) => h("li", {"data-key": name}, h("button", {}, name));
    const seen = [];
    for (const [held, names] of orders) {
        const before = new Map([...list.children].map(one => [one.dataset.key, one]));
        const own = before.get(held)?.firstChild;
        own?.focus();
        renew(list, names.map(row));
        seen.push([
            [...list.children].map(one => one.textContent),
            names.every(name => !before.has(name) || [...list.children].includes(before.get(name))),
            !own || !names.includes(held) || document.activeElement === own,
        ]);
    }
    return seen;
}"""


def test_rows_come_go_and_change_places_around_the_one_that_has_the_focus(visitor: Visitor) -> None:
    page = visitor.open("#/predict")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    orders = [
        ("", "abcdef"),
        ("c", "fabcde"),
        ("c", "edcbaf"),
        ("a", "xaycd"),
        ("a", "a"),
        ("a", "pqras"),
        ("a", "aspqr"),
        ("a", "pqrsa"),
        ("q", "qa"),
        ("q", "zy"),
    ]
    found = page.evaluate(RENEWED, [[held, list(names)] for held, names in orders])
    assert found == [[list(names), True, True] for _, names in orders]
