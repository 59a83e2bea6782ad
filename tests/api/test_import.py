"""``gradient-clinic import`` at the real server: what a log holds is a run, and the same file is one run."""

import csv
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gradient_clinic.command.line import main

Json = dict[str, Any]
Said = pytest.CaptureFixture[str]
WHY_LEFT_OUT = "norms by layer; no verdict can rest on them alone, as it needs h, δ and weights of each layer"
ROOT = Path(__file__).parent.parent.parent
FIELDS = ("step", "loss", "lr", "val_loss", "val_accuracy")


def falling(step: int) -> float:
    return 2.3 * math.exp(-step / 300)


def table(
    file: Path, rows: Sequence[Mapping[str, object]], fields: Sequence[str] = FIELDS, delimiter: str = ","
) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, fields, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def usual(validated: int = 200) -> list[Json]:
    rows: list[Json] = [{"step": step, "loss": falling(step), "lr": 0.1} for step in range(0, 1_000, 10)]
    for row in rows[validated // 10 - 1 :: validated // 10]:
        row |= {"val_loss": falling(row["step"]) + 0.1, "val_accuracy": 1.0 - falling(row["step"]) / 3}
    return rows


def curves_of(address: str, run: Json) -> Json:
    with httpx2.Client(base_url=address, trust_env=False) as clinic:
        answer: Json = clinic.get(f"/v1/runs/{run['id']}/curves").json()
    return answer


def test_a_table_is_a_run_with_all_that_it_holds(tmp_path: Path, address: str, brought: Callable[..., Json]) -> None:
    file = table(tmp_path / "first try.csv", usual())
    run = brought(file, "--chance", "2.3", "--variant", "wide", "--seed", "3", "--label", "team=vision")
    assert (run["variant"], run["seed"], run["state"], run["source"]) == ("wide", 3, "succeeded", "ingested")
    assert (run["verdict"]["kind"], run["verdict"]["trained"]) == ("healthy", "yes")
    assert run["result"]["test_metric"] == 1.0 - falling(990) / 3
    found = curves_of(address, run)
    assert found["steps"][:2] == [[0, 0], [10, 10]]
    assert found["curves"]["loss"]["last"] == [falling(step) for step in range(0, 1_000, 10)]
    assert set(found["curves"]) == {"loss", "learning_rate"}
    assert found["epochs"]["steps"] == [190, 390, 590, 790, 990]
    with httpx2.Client(base_url=address, trust_env=False) as clinic:
        experiment = clinic.get(f"/v1/experiments/{run['experiment_id']}").json()
    assert (experiment["name"], experiment["labels"]) == ("first try", {"team": "vision"})


def test_the_same_file_is_one_run_and_another_is_told_who_has_it(
    tmp_path: Path, address: str, brought: Callable[..., Json], capsys: Said
) -> None:
    file = table(tmp_path / "a.csv", usual())
    first, again = brought(file), brought(file)
    assert (first["id"], first["verdict"]) == (again["id"], again["verdict"])
    assert brought(file, "--seed", "1")["id"] != first["id"]
    table(file, usual()[:50])
    assert main(["import", str(file), "--to", address]) == 2
    assert "seed 0 of 'baseline' is there" in " ".join(capsys.readouterr().err.split())


def test_an_import_that_broke_off_goes_on(
    tmp_path: Path, address: str, brought: Callable[..., Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = table(tmp_path / "a.csv", usual())
    with monkeypatch.context() as patched:  # the cable is cut before the run's end is told
        patched.setattr("gradient_clinic.command.clinic.Client.end_run", _cut)
        with pytest.raises(ConnectionResetError):
            main(["import", str(file), "--to", address])
    run = brought(file)
    assert run["state"] == "succeeded"
    assert len(curves_of(address, run)["steps"]) == 100


def _cut(*_: object) -> None:
    raise ConnectionResetError


def test_nan_of_a_table_is_a_value_and_an_empty_cell_is_none(
    tmp_path: Path, address: str, brought: Callable[..., Json]
) -> None:
    rows: list[Json] = [{"step": step, "loss": falling(step), "lr": ""} for step in range(40)]
    for row in rows[30:]:
        row["loss"] = "nan"
    rows.insert(20, {"step": 20})
    run = brought(table(tmp_path / "a.csv", rows))
    assert (run["verdict"]["kind"], run["outcome"]) == ("diverged", "diverged")
    assert "The loss was first not finite at step 30." in run["verdict"]["sentence"]
    assert set(curves_of(address, run)["curves"]) == {"loss"}


def test_what_is_left_out_is_said(tmp_path: Path, brought: Callable[..., Json]) -> None:
    fields = ("step", "loss", "gradients/0.weight", "gradients/2.weight", "gpu", "lr")
    rows: list[Json] = [dict.fromkeys(fields, 1.0) | {"step": step} for step in (0, 2, 1, 1)]
    rows[0]["lr"] = ""
    run = brought(table(tmp_path / "a.csv", rows, fields))
    assert run["remarks"] == [
        "1 losses of steps that come again later are passed over",
        "lr is left out: it has no value in some of the 3 records",
        f"left out, gradients/0.weight, gradients/2.weight: {WHY_LEFT_OUT}",
        "not read: gpu",
    ]


def test_columns_are_chosen_by_name_and_separated_by_anything_usual(
    tmp_path: Path, address: str, brought: Callable[..., Json]
) -> None:
    fields = ("Step", "run - nll", "run - f1", "other")
    rows: list[Json] = [dict(zip(fields, (step * 5, falling(step), 0.5, "text"), strict=True)) for step in range(30)]
    file = table(tmp_path / "a.csv", rows, fields, ";")
    run = brought(file, "--loss", "run - nll", "--metric", "run - f1=balanced_accuracy")
    assert curves_of(address, run)["steps"][1] == [5, 5]
    assert run["result"]["test_metric"] == 0.5


def test_a_log_without_steps_counts_its_rows(tmp_path: Path, address: str, brought: Callable[..., Json]) -> None:
    rows: list[Json] = [{"loss": falling(row)} for row in range(30)]
    run = brought(table(tmp_path / "a.csv", rows, ("loss",)))
    assert curves_of(address, run)["steps"][-1] == [29, 29]


STATE = {
    "global_step": 30,
    "log_history": [
        {"epoch": 1.0, "grad_norm": 1.5, "learning_rate": 5e-05, "loss": 2.2, "step": 10},
        {"epoch": 1.0, "eval_loss": 2.1, "eval_runtime": 1.0, "step": 10},
        {"epoch": 2.0, "grad_norm": 1.4, "learning_rate": 3e-05, "loss": 1.8, "step": 20},
        {"epoch": 3.0, "grad_norm": 1.2, "learning_rate": 1e-05, "loss": 0.9, "step": 30},
        {"epoch": 3.0, "step": 30, "total_flos": 0.0, "train_loss": 1.6},
    ],
}


def test_the_newest_state_of_a_trainers_folder_is_read(
    tmp_path: Path, address: str, brought: Callable[..., Json]
) -> None:
    for number, losses in ((10, 1), (30, 5), (9, 1)):
        folder = tmp_path / "out" / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        state = STATE | {"log_history": STATE["log_history"][:losses]}  # type: ignore[index]
        (folder / "trainer_state.json").write_text(json.dumps(state))
    run = brought(tmp_path / "out")
    found = curves_of(address, run)
    assert found["steps"] == [[0, 0], [10, 10], [20, 20]]
    assert found["curves"]["loss"]["last"] == [2.2, 1.8, 0.9]
    assert found["curves"]["total_gradient_norm"]["last"] == [1.5, 1.4, 1.2]
    assert found["epochs"] == {"validation_loss": [2.1], "validation_metric": [], "steps": [10]}
    assert run["result"]["steps"] == 30
    assert run["verdict"]["sentence"].endswith("Conditions: the log out, 3 losses at its steps 10 to 30.")
    with httpx2.Client(base_url=address, trust_env=False) as clinic:
        assert clinic.get(f"/v1/experiments/{run['experiment_id']}").json()["name"] == "out"


def test_a_loss_of_zero_with_a_norm_that_is_nan_is_told_as_diverged(
    tmp_path: Path, brought: Callable[..., Json]
) -> None:
    """What transformers' trainer writes of a training that broke: it leaves NaN out of its loss."""
    history = [{"step": step, "loss": 0.0 if step > 20 else 2.0, "grad_norm": math.nan} for step in range(10, 60, 10)]
    file = tmp_path / "trainer_state.json"
    file.write_text(json.dumps({"log_history": history}))
    assert brought(file)["verdict"]["kind"] == "diverged"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty: its first line names the columns"),
        ("a.csv", b"1,2\n3,4\n", "line 1 has numbers alone: the first line names the columns"),
        ("a.csv", b"step,loss\n0,1.0\n1,abc\n", "line 3, column loss: 'abc' is no number"),
        ("a.csv", b"step,loss\n0,1.0\n1.5,1\n", "line 3, column step: '1.5' is no step"),
        ("a.csv", b"step,loss\n-1,1.0\n", "line 2, column step: '-1' is no step"),
        ("a.csv", b"step,loss\n0,1.0,2\n", "line 2 has 3 cells, and the first line names 2 columns"),
        ("a.csv", b"step,loss,loss\n0,1,2\n", "two columns are called loss"),
        ("a.csv", b"step,cost\n0,1\n", "no column is a loss; there are cost"),
        ("a.csv", b"step,loss\n", "holds no number at any step"),
        ("a.csv", b"step,loss\n99999999999,1\n0,2\n", "a run has at most 10,000,000: name another by --step"),
        ("a.csv", b"step,loss\n0,\xff\xfe\n", "is no text in UTF-8"),
        ("a.bin", bytes(range(256)) * 50, "is neither text nor an event file"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"{}", "has no log_history"),
        ("a.json", b'{"log_history": [{"loss": 1.0}]}', "log_history[0], step: None is no step"),
        ("a.json", b'{"log_history": [{"loss": 1.0, "step": ' + b"9" * 400 + b"}]}", "is no step"),
        ("a.json", b'{"log_history": [3]}', "log_history[0] is a int, and not an object"),
        ("a.json", b'{"log_history": [{"loss": "x", "step": 1}]}', "log_history[0], loss: 'x' is no number"),
        ("a.json", b"{" + b'"a":[' * 100_000, "is no JSON"),
    ],
)
def test_what_is_no_log_is_refused_with_its_place(
    tmp_path: Path, refused: Callable[..., str], name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    err = refused(file)
    assert said in err
    assert str(file) in err or "no column is a loss" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "val_accuracy=f1"], "a metric is one of accuracy, balanced_accuracy, r2"),
        (["--chance", "-1"], "it is the loss of who knows no case, above 0"),
        (["--label", "x"], "write it as key=value"),
        (["--step", "nope"], "--step nope: there is no such column; there are step, loss"),
        (["--loss", "nope"], "--loss nope: there is no such column"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, refused: Callable[..., str], options: list[str], said: str
) -> None:
    assert said in refused(table(tmp_path / "a.csv", usual()), *options)


def test_steps_of_a_state_are_its_own(tmp_path: Path, refused: Callable[..., str]) -> None:
    file = tmp_path / "trainer_state.json"
    file.write_text(json.dumps(STATE))
    assert "it names a column of a CSV" in refused(file, "--step", "step")


def test_folders_without_a_log_say_what_is_looked_for(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "has no trainer_state.json and no event file" in refused(tmp_path)
    assert "is no file and no folder" in refused(tmp_path / "absent")
    (tmp_path / "lr=1").mkdir()
    (tmp_path / "lr=1" / "events.out.tfevents.1").touch()
    assert f"its folders have: {tmp_path / 'lr=1'}" in refused(tmp_path)


def test_without_tensorboard_an_event_file_says_what_to_install(tmp_path: Path, refused: Callable[..., str]) -> None:
    file = tmp_path / "events.out.tfevents.1"
    file.touch()
    assert re.search(r'pip install "gradient-clinic\[tensorboard\]"', refused(file))


def test_the_answer_goes_to_standard_output_and_progress_of_a_long_log_to_the_other(
    tmp_path: Path, address: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(table(tmp_path / "a.csv", usual()))
    assert main(["import", file, "--to", address]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("healthy: By the loss alone, as no layers were recorded: ")
    assert f"{address}/dashboard/#/run/" in out
    assert err == ""
    monkeypatch.setattr("gradient_clinic.command.importing.LONG_BYTES", 1_000)
    monkeypatch.setattr("gradient_clinic.command.importing.PART", 40)
    assert main(["import", file, "--to", address, "--seed", "1"]) == 0
    err = capsys.readouterr().err
    assert [err.count(f"reading a.csv: {share}%") for share in (" 50", "100")] == [1, 1]
    assert "sending 100 records:  80%" in err


# --- the page -----------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "data.md").read_text().partition("## Logs of finished trainings")[2]
COMMANDS = re.findall(r"^gradient-clinic import (.+)$", PAGE, re.MULTILINE)


def test_the_commands_of_the_page_work_and_answer_as_it_says(
    tmp_path: Path, address: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (writing,) = re.findall(r"^printf .+$", PAGE, re.MULTILINE)
    _, text, _, name = shlex.split(writing)
    (tmp_path / name).write_text(text.replace("\\n", "\n"))
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "trainer_state.json").write_text(json.dumps(STATE))
    answered = []
    for command in COMMANDS[:2]:  # TensorBoard's, which needs it, has tests of its own
        assert main(["import", *shlex.split(command.replace("http://127.0.0.1:8000", address))]) == 0
        answered.append(capsys.readouterr().out)
    quoted = " ".join(line.removeprefix("> ") for line in PAGE.splitlines() if line.startswith("> "))
    assert answered[0].splitlines()[0] == quoted
    assert COMMANDS[2].startswith("runs/first")


def test_the_page_tells_every_option(capsys: Said) -> None:
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert known - {"--help", "--server", "--key-file"} == set(re.findall(r"--[a-z][a-z-]*", PAGE))
