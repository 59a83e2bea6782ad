"""The frame of the dashboard in a real browser: list, key, a server that goes away, theme, hostile names."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from models import runs
from tests.api import made
from tests.api.dashboard.conftest import HOSTILE, Served, Stored, Visitor, accessible, run_of
from tests.conftest import scratch_database

KEY = "sesame"


def test_experiments_are_listed_searched_and_sorted(visitor: Visitor) -> None:
    page = visitor.open()
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="sick")).to_contain_text(["vanishing"])
    name = page.get_by_role("columnheader", name="Name")
    for order in ("ascending", "descending"):
        page.get_by_role("button", name="Name").press("Enter")
        expect(name).to_have_attribute("aria-sort", order)
        expect(rows.nth(0 if order == "descending" else 2)).to_contain_text("sick")
    page.get_by_role("button", name="Name").click()
    expect(rows.nth(2)).to_contain_text("sick")
    page.get_by_label("Search names").fill("ONG")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("long")
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Search names").fill("")
    page.get_by_label("Label, key:value").fill("team:vision")
    page.keyboard.press("Enter")
    expect(rows).to_contain_text(["sick"])
    accessible(page)


def test_a_new_experiment_appears_and_its_state_changes_by_itself(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/experiments?search=arrives")
    expect(page.get_by_text("No experiment fits.")).to_be_visible()
    sent = stored.served.client.post("/v1/experiments", json=arriving()).json()
    row = page.locator("table.list tbody tr")
    expect(row).to_contain_text("queued")
    stored.served.client.post(f"/v1/experiments/{sent['id']}/cancel")
    expect(row).to_contain_text("cancelled")
    stored.served.client.delete(f"/v1/experiments/{sent['id']}")
    expect(page.get_by_text("No experiment fits.")).to_be_visible()


def test_progress_is_told_to_the_page_and_not_asked_for(visitor: Visitor, stored: Stored) -> None:
    experiment = made.submit(stored.served.client, name="goes on", seeds=[0], steps=100)
    page = visitor.open("#/experiments?search=goes")
    cells = page.locator("table.list tbody tr td")
    expect(cells.nth(3)).to_have_text("queued")
    # A new state may belong elsewhere in the list, which is asked for again.
    with page.expect_response(re.compile(r"/v1/experiments\?")):
        lease, _ = made.claim(stored.database, made.run_ids(stored.database, experiment)[0])
    expect(cells.nth(3)).to_have_text("running")
    cells.nth(1).get_by_role("link").focus()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for step in (30, 60):
        with stored.database.begin() as session:
            assert runs.beat(session, lease, 60.0, step=step)
            runs.events.wake(session, [lease.experiment_id])
        expect(cells.nth(4)).to_contain_text(f"{step} %")
    assert asked == []
    expect(cells.nth(1).get_by_role("link")).to_be_focused()


def arriving() -> dict[str, object]:
    network = {"kind": "mlp", "depth": 3, "width": 4}
    return {
        "name": "arrives",
        "dataset": {"kind": "digits"},
        "network": network,
        "optimizer": {"kind": "sgd"},
        "steps": 1,
    }


def test_rows_are_chosen_by_click_shift_and_keys_and_stay_so_on_back(visitor: Visitor) -> None:
    page = visitor.open()
    boxes = page.locator("tbody input[type=checkbox]")
    expect(boxes).to_have_count(3)
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected").first).to_be_visible()
    boxes.nth(1).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    expect(boxes.nth(2)).to_be_focused()
    expect(page.get_by_text("2 selected").first).to_be_visible()
    page.get_by_role("link", name="sick").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("sick")
    page.go_back()
    expect(boxes).to_have_count(3)
    assert [boxes.nth(at).is_checked() for at in range(boxes.count())] == [True, False, True]


def test_names_and_labels_never_become_markup(visitor: Visitor) -> None:
    page = visitor.open()
    row = page.locator("tbody tr").filter(has_text=HOSTILE)
    expect(row).to_contain_text(f"{HOSTILE}: {HOSTILE}")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.locator("img[src='x'], main script").count() == 0


def test_without_an_answer_it_says_so_and_goes_on_when_there_is_one(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open()
    expect(page.locator("tbody tr")).to_have_count(3)
    stored.served.stop()
    notice = page.get_by_text("The clinic does not answer")
    expect(notice).to_be_visible()
    stored.served.start()
    expect(notice).to_be_hidden()
    # The browser itself writes a line for each request that met nobody.
    refused = [one for one in visitor.complaints if "ERR_CONNECTION_REFUSED" in one]
    visitor.complaints[:] = [one for one in visitor.complaints if one not in refused]


def test_what_is_not_there_is_said(visitor: Visitor) -> None:
    page = visitor.open("#/experiment/00000000-0000-7000-8000-000000000000")
    expect(page.get_by_role("alert")).to_contain_text("there is no experiment")
    page.goto(f"{visitor.address}/dashboard/#/nowhere")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    visitor.complaints[:] = [one for one in visitor.complaints if "status of 404" not in one]


@pytest.mark.long
def test_nothing_is_wider_than_the_screen(visitor: Visitor, stored: Stored) -> None:
    sick, run = stored.sick["id"], run_of(stored, stored.broken)["id"]
    pages = (
        "",
        f"#/experiment/{sick}",
        f"#/run/{run}",
        f"#/compare?experiments={sick}&runs={run}",
        "#/new",
        "#/predict",
    )
    for hash_ in pages:
        visitor.page.goto("about:blank")  # another hash alone loads nothing, so there would be nothing to wait for
        page = visitor.open(hash_)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle" if hash_ else "load")
        for width in (380, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            # What is drawn to a width is drawn anew in a frame of its own.
            page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")


def test_light_and_dark_are_the_system_s_or_one_s_own(visitor: Visitor) -> None:
    page = visitor.open()
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) == "rgb(13, 17, 23)"
    page.get_by_role("button", name="Auto").click()
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.reload()
    page.get_by_role("button", name="Light").click()
    page.emulate_media(color_scheme="light")
    assert page.evaluate(colour) == "rgb(13, 17, 23)"


@pytest.fixture(scope="module")
def guarded(postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with scratch_database(postgres_server, template_database) as url:
        served = Served(url, tmp_path_factory.mktemp("data"), KEY)
        served.start()
        yield served
        served.stop()
        served.client.close()


def test_the_key_is_asked_for_and_kept_in_this_tab_alone(browser: Browser, guarded: Served) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{guarded.address}/dashboard/")
        page.get_by_label("Key of this clinic").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("this key is not known")).to_be_visible()
        page.get_by_label("Key of this clinic").fill(KEY)
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_text("There is no experiment yet: start one.")).to_be_visible()
        assert page.evaluate("[Object.keys(sessionStorage), localStorage.length, document.cookie]") == [
            ["clinic-key"],
            0,
            "",
        ]
        assert KEY not in page.url
        another = context.new_page()
        another.goto(f"{guarded.address}/dashboard/")
        expect(another.get_by_label("Key of this clinic")).to_be_visible()
        assert re.search(KEY, another.content()) is None


def test_nothing_is_offered_before_the_list_is_there(visitor: Visitor) -> None:
    """No more to show, and nobody who could answer."""
    visitor.context.route("**/v1/experiments*", lambda route: route.abort())
    page = visitor.open()
    expect(page.locator("#notice")).to_have_text("The clinic does not answer. Trying again …")
    expect(page.get_by_text("Loading …")).to_be_visible()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    visitor.context.unroute("**/v1/experiments*")
    visitor.complaints.clear()  # the browser says of each request that it failed
