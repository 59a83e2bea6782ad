"""Lists of experiments in every order: all of them once, as the words say, and read from an index."""

import base64
import random
from itertools import chain
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text, update

from api.queries import Order
from models.storage.database import Database
from models.storage.tables import Experiment
from tests.api.made import Json, problem, submit
from tests.statements import plan_of, sent_to

PATH = "/v1/experiments"
ORDERS: tuple[str, ...] = get_args(Order)
NAMES = ["b", "B", "a", "Äa", "ä b", "", "z" * 200, "𝕏" * 200, "a b  c"]
STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
VERDICTS = [None, "healthy", "vanishing", "mixed"]
MANY = 12_500


def pages(client: TestClient, size: int, **params: str) -> list[list[Json]]:
    found: list[list[Json]] = []
    token = ""
    while token or not found:
        answer = client.get(PATH, params={"page_size": size, "page_token": token, **params})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        token = answer.json()["next_page_token"]
    return found


def fill(client: TestClient, database: Database) -> list[Json]:
    """Oldest first."""
    chance = random.Random(7)
    rows = [
        {"name": name or " ", "state": chance.choice(STATES), "verdict": chance.choice(VERDICTS)} for name in NAMES * 3
    ]
    chance.shuffle(rows)
    for row in rows:
        row["id"] = submit(client)["id"]
        with database.begin() as session:
            session.execute(update(Experiment).where(Experiment.id == row["id"]).values(**row))
    return rows


def test_every_order_holds_all_of_them_once_as_its_words_say(client: TestClient, database: Database) -> None:
    rows = fill(client, database)
    with database.begin() as session:
        # The order of words is the database's own; all else is checked here.
        said = session.execute(text("SELECT id::text FROM experiment ORDER BY lower(name), id")).scalars().all()
    place = {its: at for at, its in enumerate(said)}
    keys: dict[str, Any] = {
        "created": lambda row: row["id"],
        "name": lambda row: place[row["id"]],
        "state": lambda row: (row["state"], row["id"]),
        "verdict": lambda row: (row["verdict"] or "", row["id"]),
    }
    assert {order.removeprefix("-") for order in ORDERS} == set(keys)
    for order in ORDERS:
        expected = sorted(rows, key=keys[order.removeprefix("-")], reverse=order.startswith("-"))
        for size in (1, 4, len(rows)):
            found = pages(client, size, sort=order)
            assert [one["id"] for one in chain(*found)] == [one["id"] for one in expected], (order, size)
            assert {len(page) for page in found[:-1]} <= {size}
    assert pages(client, 100) == pages(client, 100, sort="-created")
    lower = [one["name"].lower() for one in chain(*pages(client, 100, sort="name")) if one["name"].isascii()]
    assert lower == sorted(lower)


def test_what_is_chosen_is_sorted_too(client: TestClient, database: Database) -> None:
    rows = fill(client, database)
    wanted = [one for one in rows if one["state"] == "failed"]
    found = list(chain(*pages(client, 2, sort="-verdict", state="failed")))
    expected = sorted(wanted, key=lambda one: (one["verdict"] or "", one["id"]), reverse=True)
    assert [one["id"] for one in found] == [one["id"] for one in expected]


def test_a_page_goes_on_where_a_row_that_is_gone_had_its_place(client: TestClient) -> None:
    made = {name: submit(client, name=name) for name in "abcd"}
    first = client.get(PATH, params={"page_size": 2, "sort": "name"}).json()
    client.delete(made["b"]["links"]["self"])
    rest = client.get(PATH, params={"sort": "name", "page_token": first["next_page_token"]}).json()
    assert [one["name"] for one in rest["items"]] == ["c", "d"]


def test_an_unknown_order_and_a_token_of_another_are_refused(client: TestClient) -> None:
    refused = problem(client.get(PATH, params={"sort": "progress"}), 422)
    assert refused["errors"][0]["field"] == "sort"
    assert "verdict" in str(refused["errors"][0]["allowed"])
    ids = [submit(client, name=name)["id"] for name in "ab"]
    token = client.get(PATH, params={"page_size": 1, "sort": "name"}).json()["next_page_token"]
    bad = base64.urlsafe_b64encode(f"name {ids[0]} \0".encode()).decode()
    for sort, given in (("-name", token), ("-created", token), ("name", bad), ("name", "bmFtZQ")):
        refused = problem(client.get(PATH, params={"sort": sort, "page_token": given}), 422)
        assert refused["errors"][0]["field"] == "page_token"


@pytest.fixture
def many(client: TestClient, database: Database) -> None:
    """As many as there may be, half of them somebody else's; copies of one, as only their rows are looked at."""
    submit(client)
    with database.begin() as session:
        session.execute(
            text(f"""
            INSERT INTO experiment (id, owner, name, state, priority, labels, spec, verdict)
            SELECT gen_random_uuid(), (ARRAY['local', 'another'])[1 + n % 2], md5(n::text),
                (ARRAY['queued', 'running', 'succeeded', 'failed', 'cancelled'])[1 + n % 5], priority, labels, spec,
                (ARRAY[NULL, 'healthy', 'vanishing'])[1 + n % 3]
            FROM experiment, generate_series(1, {MANY}) AS n
        """)
        )
        session.execute(text("ANALYZE experiment"))


@pytest.mark.usefixtures("many")
def test_a_page_far_in_reads_few_rows_of_an_index(client: TestClient, database: Database) -> None:
    for order in ORDERS:
        token = ""
        for _ in range(3):
            answer = client.get(PATH, params={"sort": order, "page_size": 100, "page_token": token})
            token = answer.json()["next_page_token"]
        with sent_to(client.app.state.database) as asked:  # type: ignore[attr-defined]  # it is ours
            answer = client.get(PATH, params={"sort": order, "page_token": token})
        assert len(answer.json()["items"]) == 50
        found = plan_of(database, next(one for one in asked if "FROM experiment" in one.statement))
        assert [one["Node Type"] for one in found if "Scan" in one["Node Type"]] == ["Index Scan"], order
        assert not any("Sort" in one["Node Type"] for one in found), order
        # Every second row is another owner's.
        assert sum(one.get("Rows Removed by Filter", 0) for one in found) < 200, order
