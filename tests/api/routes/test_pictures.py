"""Pictures as files: what they show is what the comparison says, and they hold nothing that could run."""

import re
from xml.etree import ElementTree as ET

from fastapi.testclient import TestClient

from models.storage.database import Database
from tests.api import made
from tests.api.http.test_headers import policy

NAME = "x<script>&\"'"


def drawn(client: TestClient, path: str) -> ET.Element:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    directives = policy(answer)
    assert directives["default-src"] == ["'none'"]
    assert [source.partition("-")[0] for source in directives["style-src"]] == ["'sha256"]
    root = ET.fromstring(answer.content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [one.tag for one in root.iter() if "script" in one.tag]
    assert not re.search(r"\son\w+=|https?://(?!www\.w3\.org/2000/svg)", answer.text)
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    return root


def words(root: ET.Element) -> str:
    return " ".join(one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text"))


def experiment_of(client: TestClient, database: Database) -> str:
    variants = [{"name": NAME, "remedies": [{"kind": "batch_norm"}]}]
    experiment = made.submit(client, variants=variants)
    made.train_all(database, experiment, (-2.0, 0.1))
    return f"/v1/experiments/{experiment['id']}"


def test_the_forest_plot_shows_the_difference_that_is_read_first(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    comparison = client.get(f"{path}/comparison").json()
    versus = comparison["variants"][1]["versus_baseline"]
    assert versus["primary"] is not None
    text = words(drawn(client, f"{path}/comparison.svg"))
    assert NAME in text
    assert f"{versus[versus['primary']]['mean']:+.3g}" in text


def test_outcomes_have_a_row_for_each_variant(client: TestClient, database: Database) -> None:
    text = words(drawn(client, f"{experiment_of(client, database)}/outcomes.svg"))
    assert "baseline" in text
    assert NAME in text


def test_a_profile_has_a_point_for_each_hidden_layer(client: TestClient, database: Database) -> None:
    path = experiment_of(client, database)
    root = drawn(client, f"{path}/profile.svg")
    assert len([one for one in root.iter() if one.get("class") == "measured"]) == 3
    assert client.get(f"{path}/profile.svg", params={"variant": NAME}).status_code == 200
    made.problem(client.get(f"{path}/profile.svg", params={"variant": "nobody"}), 404)


def test_before_anything_has_ended_a_picture_says_so(client: TestClient) -> None:
    path = f"/v1/experiments/{made.submit(client)['id']}"
    assert words(drawn(client, f"{path}/comparison.svg")) == "nothing to compare yet"
    assert words(drawn(client, f"{path}/outcomes.svg")) == "nothing has been reached yet"
