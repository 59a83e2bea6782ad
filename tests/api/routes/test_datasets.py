"""Users' own data over HTTP: sent, kept once, named by a spec, trained on, removed; and refused whole."""

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select

from api.app import create_app
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.files import DatasetFiles
from models.storage.tables import Experiment
from tests.api.conftest import ADDRESS
from tests.api.flood import CHUNK, pour
from tests.api.made import problem, run_ids, spec, submit, train_all
from tests.api.uploads.samples import gzipped, idx, images, npz, packed, parquet, tone, wav
from worker.datasets import load

X, Y = images(60)
SET = npz(x=X, y=Y)
OTHER = npz(x=X + 1, y=Y)
LIMIT = 200_000


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(database_url), data_dir=tmp_path, upload_limit_bytes=LIMIT)


@pytest.fixture
def kept(settings: Settings) -> Path:
    """The folder that data sets lie in."""
    return settings.data_dir / "files" / "datasets"


def put(client: Any, content: bytes = SET, name: str = "mine", status: int = 201, **params: str) -> dict[str, Any]:
    response = client.put(f"/v1/datasets/{name}", content=content, params=params)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def folders(kept: Path) -> list[str]:
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


def asked(**dataset: Any) -> dict[str, Any]:
    return {"dataset": {"kind": "uploaded", "name": "mine"} | dataset, "batch_size": 16}


def test_what_is_put_can_be_looked_at(client: TestClient, kept: Path) -> None:
    answer = put(client)
    facts = {"cases": 60, "shape": [1, 4, 3], "classes": 3, "form": "image", "varying_length": False, "format": "npz"}
    assert answer["facts"] == {**facts, "task": "classification", "note": "", "columns_apart": None}
    assert (answer["name"], answer["owner"], answer["bytes"]) == ("mine", "local", 60 * 12 + 60 * 8)
    assert client.get("/v1/datasets/mine").json() == answer
    assert folders(kept) == [answer["version"]]
    assert sorted(path.name for path in (kept / answer["version"]).iterdir()) == ["manifest.json", "x.npy", "y.npy"]


def test_put_says_where_it_is(client: TestClient) -> None:
    assert client.put("/v1/datasets/mine", content=SET).headers["Location"] == "/v1/datasets/mine"


def test_the_same_content_is_one_version_whatever_it_comes_as(client: TestClient, kept: Path) -> None:
    first = put(client)
    again = put(client, packed({"images": idx(X), "labels": idx(Y)}), status=200)
    assert again["version"] == first["version"]
    put(client, name="another")
    assert folders(kept) == [first["version"]]


def test_other_content_is_a_new_version_and_the_old_one_may_come_back(client: TestClient) -> None:
    first, second = put(client), put(client, OTHER)
    assert [one["version"] for one in second["versions"]] == [second["version"], first["version"]]
    third = put(client, SET, status=200)
    assert [one["version"] for one in third["versions"]] == [first["version"], second["version"]]


def test_a_list_has_every_name_once_in_pages(client: TestClient) -> None:
    for name in ("a", "b", "c"):
        put(client, name=name)
    newest = put(client, OTHER, name="a")
    page = client.get("/v1/datasets", params={"page_size": 2}).json()
    assert [item["name"] for item in page["items"]] == ["a", "c"]
    assert page["items"][0]["version"] == newest["version"]
    rest = client.get("/v1/datasets", params={"page_token": page["next_page_token"]}).json()
    assert ([item["name"] for item in rest["items"]], rest["next_page_token"]) == (["b"], "")


def test_a_form_of_files_is_one_set(client: TestClient) -> None:
    train, test = (X[:40], Y[:40]), (X[40:], Y[40:])
    files = {
        "test_images": ("t10k-images-idx3-ubyte.gz", gzipped(idx(test[0]))),
        "test_labels": ("t10k-labels-idx1-ubyte.gz", gzipped(idx(test[1]))),
        "train_images": ("train-images-idx3-ubyte.gz", gzipped(idx(train[0]))),
        "train_labels": ("train-labels-idx1-ubyte.gz", gzipped(idx(train[1]))),
    }
    response = client.put("/v1/datasets/mine", files=files)
    assert response.status_code == 201, response.text
    assert response.json()["version"] == put(client, status=200)["version"]


def test_a_form_may_say_how_to_read_it_and_so_may_the_address(client: TestClient) -> None:
    clips = packed({"a/1.wav": wav(tone(300.0, 0.1)), "b/2.wav": wav(tone(900.0, 0.1))})
    assert put(client, clips)["facts"]["shape"] == [8, 40]
    response = client.put("/v1/datasets/mine", files={"file": ("clips.zip", clips)}, data={"features": "raw"})
    assert response.json()["facts"]["shape"] == [10, 80]
    assert response.json()["class_names"] == ["a", "b"]
    put(client, clips, status=200, features="raw")
    assert put(client, SET, name="other", form="sequence")["facts"]["form"] == "sequence"
    wrong = client.put("/v1/datasets/mine", files={"file": ("clips.zip", clips)}, data={"features": "mfcc"})
    assert problem(wrong, 422)["errors"][0]["allowed"] == ["log_mel", "raw"]
    problem(client.put("/v1/datasets/mine", content=clips, params={"features": "mfcc"}), 422)


def test_a_header_alone_is_said_to_be_one(client: TestClient) -> None:
    """Of one column it looks like any text, so that the content type or the name has to tell."""
    path, alone = "/v1/datasets/mine", b"temp (C)\n"
    problem(client.put(path, content=alone), 415)
    problem(client.put(path, files={"file": ("notes.txt", alone, "text/plain")}), 415)
    for refused in (
        client.put(path, content=alone, headers={"Content-Type": "text/csv; charset=utf-8"}),
        client.put(path, files={"file": ("temp.CSV", alone, "text/plain")}),
        client.put(path, files={"file": ("temp", alone, "text/csv")}),
        client.put(path, content=b"temp,flow\n"),
    ):
        assert "a header and no rows" in problem(refused, 422)["errors"][0]["message"]


def test_a_table_is_read_as_the_address_or_the_form_says(client: TestClient) -> None:
    lines = (f"{row},{20 + row},T{row % 3},{10 * row}" for row in range(30))
    table = "\n".join(("id,age,town,price", *lines, "30,,T1,5")).encode()
    said = problem(client.put("/v1/datasets/homes", content=table, params={"ignore": "id"}), 422)["errors"][0]
    assert (said["field"], said["value"], "missing=drop" in said["allowed"]) == ("age", 1, True)
    asked = {"target": "price", "ignore": ["id", "town"], "missing": "drop"}
    found = client.put("/v1/datasets/homes", content=table, params=asked)
    assert found.status_code == 201, found.text
    facts = found.json()["facts"]
    assert (facts["format"], facts["task"], facts["cases"], facts["shape"]) == ("CSV", "regression", 30, [1])
    again = client.put("/v1/datasets/homes", files={"file": ("homes.csv", table)}, data=asked)
    assert (again.status_code, again.json()["version"]) == (200, found.json()["version"])
    spec = {
        "name": "homes",
        "dataset": found.json()["spec"],
        "network": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "steps": 2,
        "batch_size": 8,
    }
    assert client.post("/v1/experiments/validate", json=spec).status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"a,b\n1,2\n3\n", 415),
        (b"a,b\n1,2\nx,\n", 422),
        (b"GIF89a", 415),
        (SET[:-30], 422),
        (npz(x=X, y=np.zeros(60, int)), 422),
        (npz(x=np.full((4, 3), np.nan), y=Y[:4]), 422),
        (npz(x=np.zeros((60, 1000)), y=Y), 413),
        (parquet([1.0, 2.0], [0, 1]), 422),
        (b"x" * (LIMIT + 1), 413),
        (gzipped(idx(X)), 422),
    ],
)
def test_a_refusal_leaves_nothing(client: TestClient, kept: Path, content: bytes, status: int) -> None:
    body = problem(client.put("/v1/datasets/mine", content=content), status)
    assert body["errors"] or status == 413
    assert folders(kept) == []
    assert client.get("/v1/datasets").json()["items"] == []
    problem(client.get("/v1/datasets/mine"), 404)


@pytest.mark.parametrize("name", ["a b", ".hidden", "x" * 101, "%00", "ß", "..%2F..%2Fetc"])
def test_a_name_that_cannot_be_is_refused(client: TestClient, kept: Path, name: str) -> None:
    assert client.put(f"/v1/datasets/{name}", content=SET).status_code in {404, 422}
    problem(client.get(f"/v1/datasets/{name}"), 404)
    problem(client.delete(f"/v1/datasets/{name}"), 404)
    assert folders(kept) == []


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_form_that_is_none_is_a_400(client: TestClient, kind: str) -> None:
    problem(client.put("/v1/datasets/mine", content=b"--y\r\n\r\n", headers={"Content-Type": kind}), 400)


def test_a_form_has_its_own_limits(client: TestClient) -> None:
    many = [(f"f{number}", (f"{number}", idx(X))) for number in range(9)]
    problem(client.put("/v1/datasets/mine", files=many), 400)
    problem(client.put("/v1/datasets/mine", files={"f": ("f", SET)}, data={"features": "x" * 2000}), 400)
    problem(client.put("/v1/datasets/mine", files={"f": ("f", b"x" * LIMIT)}), 413)


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(address: str) -> None:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        head = f"PUT /v1/datasets/mine HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).split()[1] == b"413"


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_a_body_without_an_end_is_read_no_further_than_the_limit(address: str, host: str) -> None:
    """Nor where the request is refused, and answered, before anybody reads of it."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        head = f"PUT /v1/datasets/mine HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        sent = pour(connection)
    assert sent < 200 * len(CHUNK)


def test_an_upload_may_be_larger_than_a_spec(database_url: str, tmp_path: Path) -> None:
    """Between the two limits: the upload goes in, a spec of this size does not."""
    settings = Settings(
        database_url=SecretStr(database_url), data_dir=tmp_path, max_body_bytes=2_000, upload_limit_bytes=LIMIT
    )
    noise = np.random.default_rng(0).integers(0, 256, (60, 100), np.uint8)
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        put(client, npz(x=noise, y=Y))
        problem(client.post("/v1/experiments", content=b" " * 3_000), 413)


def test_two_who_send_the_same_at_once_leave_one_version(client: TestClient, kept: Path) -> None:
    def send(_: int) -> int:
        return client.put("/v1/datasets/mine", content=SET).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(8)))
    assert sorted(statuses) == [200] * 7 + [201]
    answer = client.get("/v1/datasets/mine").json()
    assert len(answer["versions"]) == 1
    assert folders(kept) == [answer["version"]]


def test_a_spec_is_told_which_version_it_means(client: TestClient, database: Database) -> None:
    answer = put(client)
    version, facts = answer["version"], answer["facts"]
    experiment = submit(client, **asked())
    assert experiment["spec"]["dataset"] | {"version": version, "facts": facts} == experiment["spec"]["dataset"]
    put(client, OTHER)
    again = client.get(experiment["links"]["self"]).json()
    assert again["spec"]["dataset"]["version"] == version
    assert submit(client, **asked())["spec"]["dataset"]["version"] != version
    assert submit(client, **asked(version=version))["spec"]["dataset"]["version"] == version
    # The answer can be submitted again as it is.
    assert client.post("/v1/experiments", json=again["spec"]).json()["spec"] == again["spec"]
    with database.begin() as session:
        stored = session.execute(select(Experiment.spec).limit(1)).scalar_one()
    assert isinstance(stored, ExperimentSpec)
    assert stored.dataset.facts.cases == 60


def test_facts_cannot_be_forged(client: TestClient) -> None:
    answer = put(client)
    version, facts = answer["version"], answer["facts"]
    forged = facts | {"cases": 10**9, "shape": [7], "form": "vector", "classes": 2}
    for sent in (asked(facts=forged), asked(facts=forged, version=version)):
        assert submit(client, **sent)["spec"]["dataset"]["facts"] == facts
        cost = client.post("/v1/experiments/validate", json=spec(**sent)).json()
        assert cost["variants"][0]["parameters"] == (12 + 1) * 8 + 2 * (8 + 1) * 8 + (8 + 1) * 3


def test_a_name_that_nobody_has_is_a_422_everywhere_that_names_those_there_are(client: TestClient) -> None:
    put(client, name="there")
    sent = spec(**asked())
    for route in ("/v1/experiments", "/v1/experiments/validate"):
        error = problem(client.post(route, json=sent), 422)["errors"][0]
        assert (error["field"], error["value"], error["allowed"]) == ("dataset.name", "mine", ["there"])
    item = client.post("/v1/experiments/batch", json={"items": [sent]}).json()["items"][0]
    assert (item["status"], item["error"]["errors"][0]["field"]) == (422, "dataset.name")
    headers = {"Idempotency-Key": "k"}
    problem(client.post("/v1/experiments", json=sent, headers=headers), 422)
    put(client)
    assert client.post("/v1/experiments", json=sent, headers=headers).status_code == 202
    error = problem(client.post("/v1/experiments", json=spec(**asked(version="0" * 64))), 422)["errors"][0]
    assert error["field"] == "dataset.version"
    problem(client.post("/v1/experiments", json=spec(**asked(name="../x"))), 422)


def test_a_repeated_request_gets_its_first_answer_when_the_data_have_changed(client: TestClient) -> None:
    put(client)
    headers = {"Idempotency-Key": "k"}
    first = client.post("/v1/experiments", json=spec(**asked()), headers=headers).json()
    put(client, OTHER)
    assert client.post("/v1/experiments", json=spec(**asked()), headers=headers).json() == first


def test_data_in_use_stay_until_the_experiment_has_ended(client: TestClient, database: Database, kept: Path) -> None:
    put(client)
    put(client, OTHER, name="unused")
    experiment = submit(client, **asked())
    assert experiment["id"] in problem(client.delete("/v1/datasets/mine"), 409)["detail"]
    assert len(folders(kept)) == 2
    assert client.delete("/v1/datasets/unused").status_code == 204
    train_all(database, experiment)
    assert client.delete("/v1/datasets/mine").status_code == 204
    assert folders(kept) == []
    problem(client.get("/v1/datasets/mine"), 404)
    problem(client.delete("/v1/datasets/mine"), 404)
    assert client.get(experiment["links"]["comparison"]).status_code == 200


def test_files_stay_while_another_name_has_them(client: TestClient, kept: Path) -> None:
    version = put(client)["version"]
    put(client, name="copy")
    client.delete("/v1/datasets/mine")
    assert folders(kept) == [version]
    client.delete("/v1/datasets/copy")
    assert folders(kept) == []
    assert put(client)["version"] == version


def test_a_write_that_was_cut_off_is_made_good(client: TestClient, kept: Path) -> None:
    version = put(client)["version"]
    client.delete("/v1/datasets/mine")
    (kept / version).mkdir()
    (kept / version / "x.npy").write_bytes(b"half")
    put(client)
    assert (DatasetFiles(kept.parent.as_uri()).read(version)["x"][:, 0] == X).all()


@pytest.fixture
def guarded(database_url: str, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(database_url=SecretStr(database_url), data_dir=tmp_path, api_key=SecretStr("sesame"))
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        yield client


def test_every_owner_has_names_of_its_own(client: TestClient, guarded: TestClient) -> None:
    put(client)
    key = {"X-API-Key": "sesame"}
    problem(guarded.put("/v1/datasets/mine", content=SET), 401)
    problem(guarded.get("/v1/datasets/mine", headers=key), 404)
    problem(guarded.post("/v1/experiments", json=spec(**asked()), headers=key), 422)
    assert guarded.put("/v1/datasets/mine", content=OTHER, headers=key).json()["owner"] == "admin"
    assert len(client.get("/v1/datasets/mine").json()["versions"]) == 1


AMOUNTS = npz(x=X, y=np.linspace(-200.0, 300.0, 60))


def test_amounts_are_trained_on_as_amounts_with_the_loss_that_is_theirs(client: TestClient, database: Database) -> None:
    assert put(client, AMOUNTS)["facts"]["task"] == "regression"
    told = client.post("/v1/experiments", json=spec(**asked(standardise_targets=True))).json()["spec"]
    assert (told["loss"], told["dataset"]["facts"]["task"]) == ("mse", "regression")
    error = problem(client.post("/v1/experiments", json=spec(**asked(), loss="cross_entropy")), 422)["errors"][0]
    assert (error["field"], error["value"], error["allowed"]) == (
        "loss",
        "cross_entropy",
        "left out, or mse or mae or huber",
    )
    error = problem(client.post("/v1/experiments", json=spec(**asked(task="classification"))), 422)["errors"][0]
    assert (error["field"], error["value"]) == ("dataset.task", "classification")
    with database.begin() as session:
        stored = session.execute(select(Experiment.spec)).scalar_one()
    assert isinstance(stored, ExperimentSpec)
    assert stored.loss == "mse"


def test_labels_that_are_whole_numbers_may_be_had_as_amounts(client: TestClient, settings: Settings) -> None:
    put(client)
    told = client.post("/v1/experiments", json=spec(**asked(task="regression", split_seed=3))).json()["spec"]
    assert told["loss"] == "mse"
    data = load(ExperimentSpec.model_validate(told).dataset, 0, settings.files_url())
    order = np.random.default_rng(3).permutation(60)
    np.testing.assert_array_equal(data.test.y.numpy(), Y[order[48:], None].astype(np.float32))
    targets = problem(client.post("/v1/experiments", json=spec(**asked(standardise_targets=True))), 422)["errors"][0]
    assert (targets["field"], targets["value"]) == ("dataset.standardise_targets", True)


def test_text_is_no_amount(client: TestClient) -> None:
    put(client, npz(x=X, y=np.where(Y > 0, "yes", "no")))
    error = problem(client.post("/v1/experiments", json=spec(**asked(task="regression"))), 422)["errors"][0]
    assert (error["field"], error["allowed"]) == ("dataset.task", "classification")
    problem(client.put("/v1/datasets/mine", content=npz(x=X, y=Y.astype(str)), params={"task": "regression"}), 422)
    problem(client.put("/v1/datasets/mine", content=SET, params={"task": "ranking"}), 422)


def test_a_form_may_say_the_task(client: TestClient) -> None:
    response = client.put("/v1/datasets/mine", files={"file": ("set.npz", SET)}, data={"task": "regression"})
    assert (response.json()["facts"]["task"], response.json()["facts"]["classes"]) == ("regression", 1)


def test_a_page_of_another_site_may_not_upload(client: TestClient) -> None:
    problem(client.put("/v1/datasets/mine", content=SET, headers={"Origin": "https://evil.example"}), 403)


def test_the_worker_reads_what_was_sent(client: TestClient, database: Database, settings: Settings) -> None:
    put(client)
    experiment = submit(client, **asked(standardise="none", split_seed=3))
    assert len(run_ids(database, experiment)) == 2
    with database.begin() as session:
        stored = session.execute(select(Experiment.spec)).scalar_one()
    assert isinstance(stored, ExperimentSpec)
    dataset = stored.dataset
    data = load(dataset, 0, settings.files_url())
    order = np.random.default_rng(3).permutation(60)
    np.testing.assert_array_equal(data.train.x[:, 0].numpy(), X[order[:48]].astype(np.float32) / np.float32(255.0))
    np.testing.assert_array_equal(data.test.y.numpy(), Y[order[48:]])
    client.delete(experiment["links"]["self"])
    client.delete("/v1/datasets/mine")
    with pytest.raises(RuntimeError, match="without a storage URL"):
        load(dataset, 0)
    elsewhere = (settings.data_dir / "elsewhere").as_uri()
    with pytest.raises(RuntimeError, match="no longer stored"):
        load(dataset, 0, elsewhere)


def test_one_scale_for_columns_far_apart_is_warned_of(client: TestClient) -> None:
    rows = "\n".join(f"{2_000_000 + case},{case % 5 - 2},{'ab'[case % 2]},0,{case % 2}" for case in range(60))
    put(client, f"mass,rooms,side,none,kind\n{rows}".encode(), "table")
    put(client, f"mass,rooms,side,none,kind\n{rows}".replace("20000", "").encode(), "even")

    def warnings(name: str, **dataset: Any) -> list[str]:
        answer = client.post("/v1/experiments/validate", json=spec(**asked(name=name, **dataset), seeds={"count": 5}))
        assert answer.status_code == 200, answer.text
        return [said for said in answer.json()["warnings"] if "drown" in said]

    # Of 0 and 1 in equal parts the root mean square is √½; 2,000,000·√2 is 2.8 million.
    (said,) = warnings("table", standardise="scalar")
    assert said == (
        '"standardise": "scalar" lets mass drown side: its numbers are about 2,800,000 times as large; '
        '"feature" scales each column'
    )
    huge = "\n".join(f"{case + 1}e28,{'ab'[case % 2]},{case % 2}" for case in range(60))
    put(client, f"mass,side,kind\n{huge}".encode(), "huge")
    (said,) = warnings("huge", standardise="scalar")
    assert "about 5.0e+29 times as large" in said  # √(61·121/6)·√2 is 49.6
    assert warnings("table") == warnings("table", standardise="feature") == warnings("even", standardise="scalar") == []
    apart = client.get("/v1/datasets/table").json()["facts"]["columns_apart"]
    assert (apart["large"], apart["small"]) == ("mass", "side")
    assert apart["ratio"] == pytest.approx(2_000_029.5 * np.sqrt(2.0), rel=1e-6)
    assert client.get("/v1/datasets/even").json()["facts"]["columns_apart"] is None


def test_columns_of_a_table_are_scaled_each_unless_the_spec_says_otherwise(
    client: TestClient, database: Database, settings: Settings
) -> None:
    rng = np.random.default_rng(0)
    grams, share = rng.normal(2.5e6, 4e5, 60), rng.normal(0, 1, 60)
    lines = (f"{mass:.0f},{part:.4f},{int(part > 0)}" for mass, part in zip(grams, share, strict=True))
    put(client, "\n".join(("mass,share,kind", *lines)).encode(), "table")
    put(client, npz(x=np.stack([grams, share], axis=1), y=(share > 0).astype(int)), "arrays")

    def shown(name: str, **dataset: Any) -> Any:
        return submit(client, **asked(name=name, **dataset))["spec"]["dataset"]["standardise"]

    assert shown("table") == "feature"
    assert [shown("table", standardise=how) for how in ("scalar", "none")] == ["scalar", "none"]
    assert shown("arrays") == "scalar"
    assert shown("arrays", standardise="feature") == "feature"
    with database.begin() as session:
        stored = session.execute(select(Experiment.spec).order_by(Experiment.id).limit(1)).scalar_one()
    assert isinstance(stored, ExperimentSpec)
    data = load(stored.dataset, 0, settings.files_url())
    np.testing.assert_allclose(data.train.x.std(0, correction=0).numpy(), [1.0, 1.0], rtol=1e-3)
    # The remedy would change nothing: it goes by what the spec has become.
    remedies = spec(**asked(name="table"), remedies=[{"kind": "standardise"}])
    assert "the data are so already" in client.post("/v1/experiments/validate", json=remedies).text


def test_the_scaling_of_an_upload_has_no_default_that_a_client_could_send(client: TestClient) -> None:
    known = client.get("/openapi.json").json()["components"]["schemas"]
    found = [shape["properties"]["standardise"] for name, shape in known.items() if name.startswith("UploadedSpec")]
    assert found
    assert all("default" not in field and "facts.format is CSV" in field["description"] for field in found)


def test_a_set_as_large_as_mnist_is_taken(database_url: str, tmp_path: Path) -> None:
    """70,000 cases of 28×28 by a real connection, as the four files of MNIST."""
    rng = np.random.default_rng(0)
    files = {}
    for part, cases in (("train", 60_000), ("t10k", 10_000)):
        pixels = rng.integers(0, 256, (cases, 28, 28), np.uint8) * (rng.random((cases, 28, 28)) < 0.2)
        files[f"{part}_images"] = (f"{part}-images-idx3-ubyte", idx(pixels.astype(np.uint8)))
        files[f"{part}_labels"] = (f"{part}-labels-idx1-ubyte", idx((np.arange(cases) % 10).astype(np.uint8)))
    with TestClient(_app(database_url, tmp_path), base_url=ADDRESS) as client:
        response = client.put("/v1/datasets/mnist", files=files)
    assert response.status_code == 201, response.text
    facts = response.json()["facts"]
    assert (facts["cases"], facts["shape"], facts["classes"]) == (70_000, [1, 28, 28], 10)


def _app(database_url: str, data_dir: Path) -> FastAPI:
    return create_app(Settings(database_url=SecretStr(database_url), data_dir=data_dir))


def test_a_connection_that_ends_early_leaves_nothing(address: str, kept: Path) -> None:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        head = "PUT /v1/datasets/mine HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + SET[:100])
        # A reset, not an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with httpx2.Client(base_url=address, trust_env=False) as client:
        assert client.get("/v1/datasets").json()["items"] == []
    assert folders(kept) == []
