"""A variant as a file: which run it repeats, when there is none, and that no text of a user becomes code."""

import ast
import sys
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from models.storage.database import Database
from models.storage.tables import Run
from tests.api.made import VERSIONS, problem, run_ids, spec, submit, train_all
from tests.api.routes.test_datasets import SET
from tests.api.routes.test_ingest import opening
from tests.formatted import faults_of

HOSTILE = (
    'import os; os.abort() """',
    "\\",
    '\'\\"\'""" + 1/0 #',
    "{__import__}/../x?#",
    "\\N{BULLET}\\x41\\u202e",
    "seen\u200b \u200fnot\ufeff",
    "Größe – 大きさ 🙂",
    "print('x')\\",
)


def file_of(client: TestClient, experiment: str, variant: str = "baseline", **asked: int) -> str:
    path = f"/v1/experiments/{experiment}/variants/{variant}/code"
    response = client.get(path, params=asked)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/x-python; charset=utf-8"
    return response.text


def docstring_of(text: str) -> str:
    found = ast.get_docstring(ast.parse(text))
    assert found is not None
    return " ".join(found.split())


def test_a_variant_says_what_it_is_and_what_it_changes(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "clip_norm", "max_norm": 0.5}])
    path = f"/v1/experiments/{experiment['id']}/variants/clip_norm/code"
    text = file_of(client, experiment["id"], "clip_norm")
    said = docstring_of(text)
    assert said.startswith('The variant "clip_norm" of the experiment "small" as plain PyTorch.')
    assert experiment["id"] in said
    assert "clip_norm (max_norm 0.5): g ← g·min(1, max_norm/(‖g‖ + 1e-6))" in said
    assert "torch 2.13.0" not in said
    assert "clip_norm(gradients, 0.5)" in text
    assert "clip_norm(" not in file_of(client, experiment["id"])

    etag = client.get(path).headers["etag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    train_all(database, experiment)
    ended = client.get(path, headers={"If-None-Match": etag})
    assert ended.status_code == 200
    assert f"torch {VERSIONS['torch']}" in docstring_of(ended.text)


def test_it_stands_alone(client: TestClient) -> None:
    """It loads Python's own library, numpy and torch, and its text names nobody's folders."""
    text = file_of(client, submit(client)["id"])
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.name for node in imported if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in imported if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "torch"}


def test_the_seed_of_the_run_may_be_chosen(client: TestClient) -> None:
    experiment = submit(client, seeds=[3, 8])["id"]
    assert "\nSEED = 3\n" in file_of(client, experiment)
    assert "\nSEED = 8\n" in file_of(client, experiment, seed=8)
    assert "\nSEED = 5\n" in file_of(client, experiment, seed=5)
    path = f"/v1/experiments/{experiment}/variants/baseline/code"
    assert problem(client.get(path, params={"seed": -1}), 422)["errors"][0]["field"] == "seed"
    assert problem(client.get(path, params={"rate": 1}), 422)["errors"][0]["field"] == "rate"


def test_a_tuned_variant_waits_for_its_rate(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0], tune={"learning_rate": [0.01, 0.3], "seeds": [5]})["id"]
    path = f"/v1/experiments/{experiment}/variants/baseline/code"
    assert "tuning has not chosen" in problem(client.get(path), 409)["detail"]
    with database.begin() as session:
        trial = select(Run.id).where(Run.experiment_id == uuid.UUID(experiment), Run.phase == "trial")
        session.execute(update(Run).where(Run.id.in_(trial)).values(learning_rate=0.3, held=False))
    assert "torch.optim.SGD(parameters, lr=0.3," in file_of(client, experiment)


def test_a_cadence_that_a_budget_chose_is_the_one_that_is_judged(client: TestClient, database: Database) -> None:
    experiment = submit(client, trace={"budget": 0.05}, stop_when={"loss_above": 7.0})
    assert "if losses[-1] > 7.0:" in file_of(client, experiment["id"])
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == run_ids(database, experiment)[0]).values(trace_every=4))
    assert "if step % 4 == 0 and losses[-1] > 7.0:" in file_of(client, experiment["id"])


def test_what_there_is_no_file_of(client: TestClient) -> None:
    experiment = submit(client)["id"]
    missing = client.get(f"/v1/experiments/{experiment}/variants/dropout/code")
    assert problem(missing, 404)["detail"] == "the experiment has no variant dropout"
    problem(client.get(f"/v1/experiments/{uuid.uuid4()}/variants/baseline/code"), 404)
    run = client.post("/v1/ingest/runs", json=opening()).json()["run_id"]
    watched = client.get(f"/v1/runs/{run}").json()["experiment_id"]
    refused = client.get(f"/v1/experiments/{watched}/variants/baseline/code")
    assert "trained elsewhere" in problem(refused, 409)["detail"]


def test_data_of_an_upload_are_named_and_not_inlined(client: TestClient) -> None:
    assert client.put("/v1/datasets/mine", content=SET).status_code == 201
    version = client.get("/v1/datasets/mine").json()["version"]
    experiment = submit(client, dataset={"kind": "uploaded", "name": "mine"}, batch_size=2)["id"]
    text = file_of(client, experiment)
    said = docstring_of(text)
    assert f"mine, version {version}" in said
    assert "The clinic hands out no bytes: lay mine.npz beside this file" in said
    assert 'uploaded("mine.npz", (' in text


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_code(client: TestClient, name: str, tmp_path: Path) -> None:
    """Of an experiment and of a variant: what its docstring says is the name, letter by letter, and no more."""
    response = client.post(
        "/v1/experiments", json=spec(name=name, variants=[{"name": name, "remedies": [{"kind": "l2"}]}])
    )
    assert response.status_code == 202, response.text
    found = client.get(path_of(response.json()["id"], name))
    assert found.status_code == 200, found.text
    assert found.text.replace("\n", "").isprintable()
    tree = ast.parse(found.text)
    assert docstring_of(found.text).count(f'"{name}"') == 2
    plain = client.post("/v1/experiments", json=spec(variants=[{"name": "plain", "remedies": [{"kind": "l2"}]}]))
    other = ast.parse(file_of(client, plain.json()["id"], "plain"))
    assert [ast.dump(node) for node in tree.body[1:]] == [ast.dump(node) for node in other.body[1:]]
    file = tmp_path / "variant.py"
    file.write_text(found.text, encoding="utf-8")
    assert not faults_of(file)


def path_of(experiment: str, variant: str) -> str:
    return f"/v1/experiments/{experiment}/variants/{quote(variant, safe='')}/code"
