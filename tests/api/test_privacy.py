"""What is deleted is gone: a word that experiments and data are full of is looked for in all that a clinic keeps."""

from pathlib import Path

import pytest
import redis
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import inspect, text
from structlog.processors import format_exc_info
from structlog.testing import capture_logs

from local.folder import Folder
from models.settings import Settings
from models.storage.checkpoints import CheckpointFiles, Name
from models.storage.database import Database
from tests.api.keyed import ADMIN, Headers, holder
from tests.api.made import Json, problem, run_ids, spec, train_all
from tests.api.routes.test_ingest import ending, opening, quiet, records
from worker import app as worker_app
from worker.dispatcher import Dispatcher

MARKER = "quokka"
TABLE = f"size,{MARKER}\n" + "".join(f"{case / 7:.3f},{MARKER}{case % 3}\n" for case in range(400))


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(database_url), redis_url=SecretStr(redis_url), storage_url=tmp_path.as_uri())


@pytest.fixture
def dispatcher(database: Database, settings: Settings) -> Dispatcher:
    return Dispatcher(database, worker_app.create_app(settings), settings)


def tables_with(database: Database, word: str) -> set[str]:
    """By what psql would show of each row, bytes decoded."""
    found = set()
    with database.begin() as session:
        for table in inspect(database.engine).get_table_names():
            rows = session.execute(text(f'SELECT CAST(its AS text) FROM "{table}" AS its')).scalars()
            if any(word in row or word.encode().hex() in row for row in rows):
                found.add(table)
    return found


def files_with(folder: Path, word: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if word in str(path) or word.encode() in path.read_bytes()]


def keys_with(url: str, word: str) -> list[bytes]:
    with redis.Redis.from_url(url) as client:
        dumped = {key: client.dump(key) or b"" for key in client.keys("*")}
    assert dumped
    return [key for key, value in dumped.items() if word.encode() in key + value]


@pytest.fixture
def ada(keyed: TestClient) -> Headers:
    return holder(keyed, "ada")


def marked(**changes: object) -> Json:
    return spec(name=f"a {MARKER}", labels={MARKER: MARKER}, **changes)


def submitted(client: TestClient, ada: Headers) -> list[Json]:
    """Trained ones, one by itself and some of a batch, each under a key that may come again; all are on marked data."""
    assert client.put(f"/v1/datasets/{MARKER}", content=TABLE.encode(), headers=ada).status_code == 201
    dataset = {"kind": "uploaded", "name": MARKER}
    one = client.post("/v1/experiments", json=marked(dataset=dataset), headers=ada | {"Idempotency-Key": "one"})
    assert one.status_code == 202, one.text
    batch = client.post(
        "/v1/experiments/batch", json={"items": [marked(), marked()]}, headers=ada | {"Idempotency-Key": "many"}
    )
    return [one.json(), *(item["experiment"] for item in batch.json()["items"])]


def watched(client: TestClient, ada: Headers) -> str:
    """The address of an experiment that was trained elsewhere."""
    asked = opening(experiment=f"a {MARKER}", variant=MARKER, labels={MARKER: MARKER}, data=MARKER, writer=MARKER)
    run = client.post("/v1/ingest/runs", json=asked, headers=ada).json()
    path = f"/v1/ingest/runs/{run['run_id']}"
    client.put(f"{path}/records/0", json=records(*quiet(3), asked["token"]), headers=ada)
    assert client.post(f"{path}/end", json=ending(asked["token"], 3), headers=ada).status_code == 200
    return str(run["links"]["experiment"])


def interrupted(client: TestClient, ada: Headers, database: Database, folder: Path) -> Json:
    """It has been trained in part: its state is in a file."""
    experiment: Json = client.post("/v1/experiments", json=marked(), headers=ada).json()
    name = Name(run_ids(database, experiment)[0], 1, 2)
    CheckpointFiles(folder.as_uri()).write(name, MARKER.encode())
    with database.begin() as session:
        values = {"path": str(name), "id": name.run_id}
        session.execute(text("UPDATE run SET checkpoint_path = :path WHERE id = :id"), values)
    return experiment


def test_of_what_is_deleted_nothing_is_left(
    keyed: TestClient,
    ada: Headers,
    database: Database,
    dispatcher: Dispatcher,
    redis_url: str,
    tmp_path: Path,
    session_folder: Folder,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hook = {"url": "https://ci.example/clinic", "events": ["experiment.ended", "run.ended"]}
    assert keyed.post("/v1/webhooks", json=hook, headers=ada).status_code == 201
    experiments = submitted(keyed, ada)
    dispatcher.publish()
    for experiment in experiments:
        train_all(database, experiment)
        keyed.get(f"{experiment['links']['self']}/report", headers=ada)
    experiments.append(interrupted(keyed, ada, database, tmp_path))
    links = [*(experiment["links"]["self"] for experiment in experiments), watched(keyed, ada)]
    keyed.post(f"{links[0]}/judge", headers=ada)
    keyed.get("/v1/experiments", params={"search": MARKER, "label": f"{MARKER}:{MARKER}"}, headers=ada)
    assert tables_with(database, MARKER) >= {
        "experiment",
        "run",
        "attempt",
        "idempotency",
        "dataset",
        "webhook_delivery",
    }
    assert files_with(tmp_path, MARKER)

    # The last one is deleted by somebody else, who may.
    for link, headers in zip(links, [ada, ada, ada, ada, ADMIN], strict=True):
        assert keyed.delete(link, headers=headers).status_code == 204
    assert keyed.delete(f"/v1/datasets/{MARKER}", headers=ada).status_code == 204
    dispatcher.collect()

    assert tables_with(database, MARKER) == set()
    assert files_with(tmp_path, MARKER) == []
    assert keys_with(redis_url, MARKER) == []
    assert MARKER not in "".join(capfd.readouterr())
    assert files_with(session_folder.path / "logs", MARKER) == []


def test_the_keys_of_what_was_deleted_still_say_so(keyed: TestClient, ada: Headers) -> None:
    one, *batch = submitted(keyed, ada)
    for gone in (one, batch[0]):
        keyed.delete(gone["links"]["self"], headers=ada)
    dataset = {"kind": "uploaded", "name": MARKER}
    again = keyed.post("/v1/experiments", json=marked(dataset=dataset), headers=ada | {"Idempotency-Key": "one"})
    assert one["id"] in problem(again, 410)["detail"]
    repeated = keyed.post(
        "/v1/experiments/batch", json={"items": [marked(), marked()]}, headers=ada | {"Idempotency-Key": "many"}
    ).json()["items"]
    assert [item["status"] for item in repeated] == [410, 202]
    assert batch[0]["id"] in repeated[0]["error"]["detail"]
    assert repeated[1]["experiment"] == batch[1]


def test_a_mistake_of_ours_quotes_no_values_in_the_log(keyed: TestClient, ada: Headers, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("ALTER TABLE experiment DROP COLUMN priority"))
        session.execute(text("DROP TABLE dataset"))
    with capture_logs() as said:
        problem(keyed.post("/v1/experiments", json=marked(), headers=ada), 500)
        problem(keyed.get(f"/v1/datasets/{MARKER}", headers=ada), 500)
    logged = [format_exc_info(None, "error", dict(one)) for one in said]  # as ``models/logs.py`` has it
    assert [one["event"] for one in logged] == ["a request failed"] * 2
    assert "UndefinedColumn" in str(logged[0])
    assert MARKER not in str(logged)


def test_the_key_of_an_item_says_so_too(keyed: TestClient, ada: Headers) -> None:
    def sent() -> Json:
        items = [marked(idempotency_key="one"), marked(idempotency_key="two")]
        found: Json = keyed.post("/v1/experiments/batch", json={"items": items}, headers=ada).json()
        return found

    first, second = sent()["items"]
    keyed.delete(first["experiment"]["links"]["self"], headers=ada)
    gone, there = sent()["items"]
    assert (gone["status"], there) == (410, second)
    assert first["experiment"]["id"] in gone["error"]["detail"]


def test_what_was_swept_goes_with_its_experiment_however_late_it_was_told_again(
    keyed: TestClient, ada: Headers, database: Database
) -> None:
    items = [marked(idempotency_key="one")]
    body = {"items": items, "sweep": {"name": [MARKER, f"{MARKER} again"]}}
    first = keyed.post("/v1/experiments/batch", json=body, headers=ada).json()["items"]
    with database.begin() as session:
        session.execute(text("UPDATE experiment SET created_at = created_at - interval '2 hours'"))
    keyed.post("/v1/experiments/batch", json=body, headers=ada | {"Idempotency-Key": "later"})
    for item in first:
        assert keyed.delete(item["experiment"]["links"]["self"], headers=ada).status_code == 204
    with database.begin() as session:
        kept = session.execute(text("SELECT key, CAST(answer AS text) FROM idempotency")).all()
    assert len(kept) == 3
    assert MARKER not in str(kept)
