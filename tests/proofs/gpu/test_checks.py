"""The check of a GPU, rehearsed on the CPU in small; what it says where there is none; that it can fail."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from proofs.gpu import exactness, golden, recording, slots
from proofs.gpu.__main__ import main
from proofs.gpu.check import Check, WrongError, line_of, text
from proofs.gpu.search import search
from proofs.gpu.trials import NETWORKS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seen_by(checks: Iterator[Check], name: str) -> list[str]:
    """What the checks whose names begin so have seen; each has to hold."""
    lines = [line_of(check) for check in checks if check.name.startswith(name)]
    assert [text(line) for line in lines if not line.held] == []
    return [line.seen for line in lines]


# --- rehearsed ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_golden_case_is_told_beside_its_theory() -> None:
    (seen,) = seen_by(golden.checks(CPU, seeds=1), "golden G10")
    assert seen.endswith("theory 0.2361 ± 2%")


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_meter_for_devices_is_held_against_the_hosts(kind: str) -> None:
    *meters, copies = seen_by(recording.checks(CPU), f"{kind},")
    assert len(meters) == 2
    assert copies == "1 copies to the host in a recorded step"


def test_a_training_is_repeated_and_taken_up_bit_for_bit() -> None:
    twice, taken_up = seen_by(exactness.checks(CPU), "mlp,")
    assert twice == "41 records and results, bit for bit"
    assert taken_up.endswith(twice)


@pytest.mark.long
@pytest.mark.end_to_end
def test_slots_train_and_a_killed_childs_run_is_taken_up() -> None:
    device, memory, killed = seen_by(slots.checks(CPU, steps=600), "slots,")
    assert device == "trained by 2 of 2 slots; its runs say cpu"
    assert memory == "parent with it, 2 of 2 children with it"
    assert killed.endswith("lost=0 doubled=0 identical=2/2 hanging=0")


# --- it can fail -------------------------------------------------------------------------------------------------


def test_what_is_wrong_or_breaks_down_has_failed() -> None:
    def wrong() -> str:
        raise WrongError("2 copies")

    def broken() -> str:
        raise RuntimeError("CUDA error: out of memory")

    lines = [line_of(Check(look.__name__, look)) for look in (wrong, broken)]
    assert [text(line) for line in lines] == [
        "FAILED  wrong: 2 copies",
        "FAILED  broken: RuntimeError: CUDA error: out of memory",
    ]


def test_devices_that_differ_in_one_entry_are_apart() -> None:
    one = golden.record(golden.network(3, 8, activation="relu"), 0, 1.0)
    assert golden.farthest(one, one) == 0.0
    moved = one.weight_norm.copy()
    moved[1] *= 1.001
    assert golden.farthest(one, dataclasses.replace(one, weight_norm=moved)) == pytest.approx(1e-3)
    broken = one.weight_norm.copy()
    broken[1] = float("nan")
    assert not golden.farthest(one, dataclasses.replace(one, weight_norm=broken)) <= 1.0


def test_trainings_that_differ_in_one_bit_are_not_the_same() -> None:
    one = golden.record(golden.network(3, 8, activation="relu"), 0, 1.0)
    moved = dataclasses.replace(one, weight_norm=one.weight_norm * (1 + 1e-15))
    with pytest.raises(WrongError, match="from record 1 of 2 on"):
        exactness.same([one, one], [one, moved])
    with pytest.raises(WrongError, match="1 records and results, then 2"):
        exactness.same([one], [one, one])


# --- without a GPU -----------------------------------------------------------------------------------------------


def test_each_step_of_the_search_says_what_it_found(tmp_path: Path) -> None:
    driver = tmp_path / "version"
    nothing = search(driver, tmp_path).sentences
    assert nothing[0] == f"NVIDIA driver: {driver} is not there, so no driver is loaded."
    assert nothing[1] == f"Device files: {tmp_path}/nvidia* gives none."
    driver.write_text("NVRM version: 570.1\nGCC version: 12\n")
    (tmp_path / "nvidia0").touch()
    both = search(driver, tmp_path).sentences
    assert both[0] == f"NVIDIA driver: {driver} says NVRM version: 570.1."
    assert both[1] == f"Device files: {tmp_path}/nvidia* gives nvidia0."


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_why_and_that_nothing_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    *_, torch_says, last = capsys.readouterr().out.splitlines()
    assert torch_says.startswith("torch.cuda.is_available(): False; asked for a tensor there, torch says: ")
    assert last == "gpu-check: device=none checks=0 failed=0 (no GPU that torch can use: nothing was checked)"
