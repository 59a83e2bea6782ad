"""``gradient-clinic`` as schedulers run it, against a whole clinic."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pyarrow as pa
import pytest

from gradient_clinic.command.line import main
from local.supervisor import Clinic

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(600)]

Json = dict[str, Any]
SPEC: Json = {
    "name": "by command",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "hidden": [16, 16], "activation": "relu"},
    "optimizer": {"kind": "adam", "learning_rate": 0.01},
    "steps": 60,
    "seeds": [0, 1],
}


@pytest.fixture(autouse=True)
def _address(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIC_URL", clinic.address)
    for name in ("SLURM_JOB_ID", "GITHUB_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID", "CI_JOB_ID", "BUILD_TAG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def spec(tmp_path: Path) -> str:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(SPEC))
    return str(file)


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Json:
    assert main([*map(str, arguments), "--json"]) == 0
    answer: Json = json.loads(capsys.readouterr().out)
    return answer


def names_of(client: httpx.Client, name: str) -> Sequence[str]:
    return [its["id"] for its in client.get("/v1/experiments", params={"search": name}).json()["items"]]


def test_an_experiment_is_submitted_waited_for_and_told_in_every_form(
    client: httpx.Client, spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {form: tmp_path / form for form in ("markdown", "junit", "sarif")}
    options = [part for form, file in files.items() for part in (f"--{form}", str(file))]
    assert main(["submit", spec, "--wait", "--set", "network.hidden=[16,16,16]", "--set", "name=told", *options]) == 0
    shown = capsys.readouterr()
    assert "No remedy needed: the baseline trains in 2 of 2 runs" in shown.out
    assert "runs: 2 succeeded" in shown.err
    assert "| baseline | healthy | 2 of 2 |" in files["markdown"].read_text()
    assert ET.fromstring(files["junit"].read_bytes()).get("failures") == "0"
    assert json.loads(files["sarif"].read_text())["runs"][0]["results"] == []
    (experiment_id,) = names_of(client, "told")
    assert client.get(f"/v1/experiments/{experiment_id}").json()["spec"]["network"]["hidden"] == [16, 16, 16]
    capsys.readouterr()
    assert main(["watch", experiment_id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "told: baseline seed 1 succeeded" in lines
    assert lines[-1] == "told: succeeded, runs: 2 succeeded"
    page, trace = tmp_path / "page.html", tmp_path / "trace.arrow"
    assert main(["report", experiment_id, "-o", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    run = client.get(f"/v1/experiments/{experiment_id}/runs").json()["items"][0]["id"]
    assert main(["trace", run, "--signal", "weight_norm", "-o", str(trace)]) == 0
    assert pa.ipc.open_stream(io.BytesIO(trace.read_bytes())).read_all().num_rows > 0
    assert main(["trace", run, "-o", str(tmp_path / "trace.txt")]) == 2


def test_the_same_job_that_is_started_again_goes_on_with_its_experiment(
    client: httpx.Client, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    first = said(capsys, "submit", spec, "--set", "name=again")
    second = said(capsys, "submit", spec, "--set", "name=again", "--wait")
    assert second["experiment_id"] == first["id"]
    other = said(capsys, "submit", spec, "--set", "name=again", "--job", "4712")
    assert set(names_of(client, "again")) == {first["id"], other["id"]}
    assert main(["wait", other["id"], "--timeout", "90"]) == 0
    capsys.readouterr()
    both = said(capsys, "compare", first["id"], other["id"])
    assert [its["experiment_id"] for its in both["variants"]] == [first["id"], other["id"]]


def test_what_it_ends_with(client: httpx.Client, spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", spec, "--wait", "--set", "optimizer.learning_rate=1e-9"]) == 1
    capsys.readouterr()
    assert main(["submit", spec, "--set", "network.depth=-1"]) == 2
    assert "network" in capsys.readouterr().err
    assert main(["submit", spec, "--set", "steps=20000", "--set", "name=late", "--wait", "--timeout", "0"]) == 124
    late = capsys.readouterr().err
    assert "it goes on" in late
    # Here it would keep the workers from the tests behind this one.
    for its in names_of(client, "late"):
        client.post(f"/v1/experiments/{its}/cancel").raise_for_status()
    assert main(["wait", "00000000-0000-7000-8000-000000000000"]) == 2
    assert main(["submit", str(tmp_path / "nowhere.json")]) == 2
    assert main(["submit", spec, "--server", "http://127.0.0.1:1"]) == 3
    assert "no clinic answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_a_table_is_uploaded_and_named_in_a_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "points.csv"
    rows = [f"{x},{y},{'in' if x * x + y * y < 9 else 'out'}" for x in range(-5, 6) for y in range(-5, 6)]
    table.write_text("\n".join(["x,y,side", *rows]))
    stored = said(capsys, "upload", "points-by-command", table, "--target", "side")
    assert stored["name"] == "points-by-command"
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(SPEC)))
    data = json.dumps({"kind": "uploaded", "name": "points-by-command"})
    answer = said(capsys, "submit", "-", "--set", f"dataset={data}", "--set", "batch_size=16", "--wait")
    assert answer["variants"][0]["runs"]["succeeded"] == 2
    assert main(["upload", "nothing", str(tmp_path / "none.csv")]) == 2
