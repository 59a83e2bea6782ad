"""``gradient-clinic keys`` and ``watch`` at the real server of a clinic that asks for keys, without workers."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.uploads.body import FORM_FIELDS
from gradient_clinic.command.line import main
from models.settings import Settings
from models.storage import presence
from models.storage.database import Database
from tests.api.keyed import ADMIN, KEY, bearer, new_key
from tests.api.made import spec

Json = dict[str, Any]
Eventually = Callable[[Callable[[], bool]], bool]
Said = pytest.CaptureFixture[str]


@pytest.fixture
def app(settings: Settings, tmp_path: Path) -> FastAPI:
    return create_app(settings.model_copy(update={"api_key": SecretStr(KEY), "data_dir": tmp_path / "data"}))


@pytest.fixture
def clinic(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx2.Client]:
    monkeypatch.setenv("CLINIC_URL", address)
    monkeypatch.setenv("CLINIC_API_KEY", KEY)
    with httpx2.Client(base_url=address, headers=ADMIN, trust_env=False) as client:
        yield client


def opens(clinic: httpx2.Client, secret: str) -> bool:
    return clinic.get("/v1/experiments", headers=bearer(secret)).status_code == 200


def ids(clinic: httpx2.Client) -> list[str]:
    return [key["id"] for key in clinic.get("/v1/keys").json()["items"]]


def test_a_secret_alone_goes_to_standard_output(clinic: httpx2.Client, capsys: Said) -> None:
    asked = ["keys", "create", "ada", "night runs", "--scopes", "read, submit", "--expires", "2099-01-01T00:00:00Z"]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    secret = out.rstrip("\n")
    assert out == f"{secret}\n"
    assert opens(clinic, secret)
    assert secret not in err
    assert "read, submit for ada, until 2099-01-01T00:00:00Z" in err
    (key_id,) = ids(clinic)
    assert main(["keys", "rotate", key_id, "--overlap", "0"]) == 0
    second = capsys.readouterr().out.strip()
    assert [opens(clinic, its) for its in (secret, second)] == [False, True]
    assert main(["keys", "revoke", key_id]) == 0
    assert key_id in capsys.readouterr().out
    assert not opens(clinic, second)


def test_an_answer_of_the_api_has_the_secret_too(clinic: httpx2.Client, capsys: Said) -> None:
    assert main(["keys", "create", "ada", "a test", "--scopes", "read", "--reads", "bob, eve", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert opens(clinic, made["key"])
    assert (made["expires_at"], made["scopes"], made["reads"]) == (None, ["read"], ["bob", "eve"])


def test_keys_are_listed_a_line_each_over_all_pages(clinic: httpx2.Client, capsys: Said) -> None:
    owners = ["bob", *(["ada"] * 59)]
    made = [new_key(clinic, owner, name=f"number {number}", reads=["bob"]) for number, owner in enumerate(owners)]
    assert main(["keys", "list"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["id", "owner", "scopes", "reads", "starts", "with", "expires", "last", "used", "name"]
    assert [line.split()[0] for line in lines] == [key["id"] for key in reversed(made)]
    assert lines[0].split() == [
        made[-1]["id"],
        "ada",
        "submit",
        "bob",
        made[-1]["starts_with"],
        "–",
        "–",
        "number",
        "59",
    ]
    assert main(["keys", "list", "--owner", "bob", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["items"]
    assert found["id"] == made[0]["id"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["keys", "create", "ada", "a", "--scopes", "write"], "allowed: read, submit, admin"),
        (["keys", "create", "ada", "a", "--scopes", "read", "--expires", "2001-01-01T00:00:00Z"], "it has passed"),
        (["keys", "revoke", "00000000-0000-7000-8000-000000000000"], "The clinic has refused this: there is no key"),
        (["keys", "rotate", "00000000-0000-7000-8000-000000000000"], "The clinic has refused this: there is no key"),
        (["wait", "00000000-0000-7000-8000-000000000000"], "The clinic has refused this: there is no experiment"),
        (["watch", "00000000-0000-7000-8000-000000000000"], "The clinic has refused this: there is no experiment"),
        (["keys", "list", "--server", "http://127.0.0.1:1"], "no clinic answers at http://127.0.0.1:1"),
    ],
)
def test_what_is_refused(clinic: httpx2.Client, capsys: Said, asked: list[str], said: str) -> None:
    assert main(asked) == (3 if "--server" in asked else 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.split())
    assert ids(clinic) == []


def test_keys_are_for_admins(clinic: httpx2.Client, tmp_path: Path, capsys: Said) -> None:
    file = tmp_path / "key"
    file.write_text(new_key(clinic)["key"])
    assert main(["keys", "list", "--key-file", str(file)]) == 2
    assert "The clinic has refused this" in capsys.readouterr().err


def submitted(clinic: httpx2.Client, name: str) -> Json:
    experiment: Json = clinic.post("/v1/experiments", json=spec(name=name)).json()
    return experiment


def told(capsys: Said) -> list[Json]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("clinic")
def test_who_waits_for_the_end_hears_that_no_worker_is_there(database: Database, tmp_path: Path, capsys: Said) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec()))
    asked = ["submit", str(file), "--wait", "--timeout", "0.1"]
    assert main(asked) == 124
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "waiting" in line] == ["small:   0%  runs: 2 queued, waiting for a worker"]
    with database.begin() as session:
        presence.renew(session, "host:1", "cpu")
    assert main(asked) == 124
    assert "small:   0%  runs: 2 queued" in capsys.readouterr().err.splitlines()


def test_several_are_watched_to_their_ends(clinic: httpx2.Client, capsys: Said) -> None:
    one, other = submitted(clinic, "one"), submitted(clinic, "other")
    assert main(["watch", one["id"], "--timeout", "0"]) == 124
    assert f"not ended by then: {one['id']}" in capsys.readouterr().err
    later = threading.Timer(0.5, lambda: [clinic.post(f"{its['links']['self']}/cancel") for its in (one, other)])
    later.start()
    assert main(["watch", one["id"], other["id"], one["id"]]) == 1
    later.join()
    lines = capsys.readouterr().out.splitlines()
    for name in ("one", "other"):
        mine = [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")]
        assert mine[0] == "queued 0%, runs: 2 queued"
        assert sorted(mine[1:-1]) == [
            f"baseline seed {seed} cancelled (cancelled before it started)" for seed in (0, 1)
        ]
        assert mine[-1] == "cancelled, runs: 2 cancelled"


def test_events_are_lines_of_json_and_a_deletion_is_an_end(clinic: httpx2.Client, capsys: Said) -> None:
    experiment = submitted(clinic, "deleted")
    later = threading.Timer(0.5, lambda: clinic.delete(experiment["links"]["self"]))
    later.start()
    assert main(["watch", experiment["id"], "--json"]) == 1
    later.join()
    lines = told(capsys)
    assert {line["experiment_id"] for line in lines} == {experiment["id"]}
    assert [line["event"] for line in lines] == ["experiment", "run", "run", "end"]
    assert lines[-1]["data"] == {"reason": "deleted", "state": None}


def test_a_watch_that_was_cut_off_goes_on_after_what_it_has(
    app: FastAPI, clinic: httpx2.Client, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    experiment, changes, out = submitted(clinic, "cut"), app.state.changes, io.StringIO()
    monkeypatch.setattr("sys.stdout", out)

    def cut() -> None:
        assert eventually(lambda: out.getvalue().count('"run"') == 2)
        changes.release()
        assert eventually(lambda: changes.waiting == 0)
        changes.released = False
        clinic.post(f"{experiment['links']['self']}/cancel")

    later = threading.Thread(target=cut)
    later.start()
    assert main(["watch", experiment["id"], "--json"]) == 1
    later.join()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    numbers = [line["id"] for line in lines[:-1]]
    assert numbers == sorted(set(numbers))
    assert [line["event"] for line in lines].count("run") == 4
    assert lines[-1]["data"] == {"reason": "ended", "state": "cancelled"}


def test_the_help_of_upload_lists_the_values_that_the_api_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["upload", "--help"])
    told = capsys.readouterr().out
    for name in ("missing", "task", "header"):
        values = FORM_FIELDS[name]
        assert values is not None
        assert f"--{name} {'|'.join(values)}" in told


@pytest.mark.usefixtures("clinic")
def test_upload_leaves_several_columns_out(tmp_path: Path, capsys: Said) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,remark,area,price\n" + "".join(f"{at},none,{at % 7},{2.5 * at}\n" for at in range(40)))
    assert main(["upload", "houses", str(table), "--ignore", "id", "--ignore", "remark", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"]["shape"] == [1]
