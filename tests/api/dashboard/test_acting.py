"""What is done to several experiments from their list: asked about, told of each, by mouse and by keyboard."""

import pytest
from playwright.sync_api import Page, expect

from models import runs
from tests.api import made
from tests.api.dashboard.conftest import Json, Stored, Visitor, accessible


@pytest.fixture
def three(stored: Stored) -> dict[str, Json]:
    """One that waits, one that has failed, one that has succeeded."""
    client, database = stored.served.client, stored.database
    found = {
        name: made.submit(client, name=f"act {name}", seeds=[0], steps=4) for name in ("waits", "fails", "succeeds")
    }
    made.train_all(database, found["succeeds"])
    lease, _ = made.claim(database, made.run_ids(database, found["fails"])[0])
    with database.begin() as session:
        runs.fail(session, lease, {"detail": "broken"})
    return found


def states(stored: Stored) -> dict[str, str]:
    items = stored.served.client.get("/v1/experiments", params={"search": "act "}).json()["items"]
    return {one["name"].removeprefix("act "): one["state"] for one in items}


def choose_all(visitor: Visitor) -> Page:
    page = visitor.open("#/experiments?search=act")
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    page.get_by_label("Select all shown").check()
    return page


def forgive(visitor: Visitor) -> None:
    """The browser itself writes a line for each request that is refused."""
    visitor.complaints[:] = [one for one in visitor.complaints if "status of 409" not in one]


@pytest.mark.usefixtures("three")
def test_what_can_be_cancelled_is_and_of_the_others_is_said_why_not(visitor: Visitor, stored: Stored) -> None:
    page = choose_all(visitor)
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 experiments")
    expect(dialog).to_contain_text("act waits")
    accessible(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert states(stored)["waits"] == "queued"
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel: 3 experiments").click()
    told = page.get_by_role("status").filter(has_text="cancelled, 2 not")
    expect(told).to_contain_text("1 experiment cancelled")
    expect(told).to_contain_text("act succeeds: the experiment has ended as succeeded")
    expect(page.get_by_text("2 selected").first).to_be_visible()
    assert states(stored) == {"waits": "cancelled", "fails": "failed", "succeeds": "succeeded"}
    accessible(page)
    forgive(visitor)


@pytest.mark.usefixtures("three")
def test_failed_runs_are_retried_together(visitor: Visitor, stored: Stored) -> None:
    page = choose_all(visitor)
    page.get_by_role("button", name="Retry failed runs").click()
    page.get_by_role("button", name="Retry failed runs: 3 experiments").click()
    expect(page.get_by_role("status").filter(has_text="1 experiment queued again, 2 not")).to_be_visible()
    assert states(stored) == {"waits": "queued", "fails": "running", "succeeds": "succeeded"}
    forgive(visitor)


@pytest.mark.usefixtures("three")
def test_the_keyboard_alone_deletes_some_and_keeps_its_place(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open("#/experiments?search=act&sort=name")
    boxes = page.locator("tbody input[type=checkbox]")
    expect(boxes).to_have_count(3)
    boxes.nth(0).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text("“act fails”, “act succeeds”")
    # What changes nothing has the focus first.
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 experiments deleted.")).to_be_visible()
    expect(boxes).to_have_count(1)
    expect(page.get_by_label("Select all shown")).to_be_focused()
    assert states(stored) == {"waits": "queued"}
    boxes.nth(0).focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text("1 experiment, “act waits”")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert states(stored) == {"waits": "queued"}
