"""What a watch says of an experiment's events, and how it looks on a terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from gradient_clinic.command.clinic import Event
from gradient_clinic.command.stories import Story, as_lines, live

Json = dict[str, Any]
COUNTS = {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}


def story(title: str = "mine", **runs: int) -> Story:
    return Story({"id": "0199", "state": "queued", "runs": COUNTS | (runs or {"queued": 4})}, title)


def changed(state: str, **runs: int) -> Event:
    return Event(1, "experiment", {"state": state, "progress": 0.5, "runs": COUNTS | runs})


def run(state: str, outcome: str | None = None, reason: str | None = None) -> Event:
    about = {"run_id": "a", "variant": "relu", "seed": 3, "phase": "trial", "attempt": 1}
    return Event(2, "run", about | {"state": state, "outcome": outcome, "reason": reason})


def at(step: int, run_id: str = "a", loss: float | None = 2.30441) -> Event:
    about = {"run_id": run_id, "variant": "relu", "seed": 3, "phase": "trial", "steps": 100}
    return Event(3, "progress", about | {"step": step, "loss": loss, "nonfinite": loss is None})


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (run("queued"), None),
        (run("queued", reason="lost its worker"), "relu seed 3 queued (lost its worker)"),
        (run("running"), "relu seed 3 running"),
        (run("succeeded", "finished"), "relu seed 3 succeeded"),
        (run("succeeded", "diverged"), "relu seed 3 succeeded (diverged)"),
        (at(10), None),
        (changed("running", queued=2, succeeded=2), "running 50%, runs: 2 queued, 2 succeeded"),
        (Event(None, "end", {"reason": "ended", "state": "failed"}), "failed, runs: 4 queued"),
        (Event(None, "end", {"reason": "deleted", "state": None}), "deleted, runs: 4 queued"),
        (Event(9, "of a newer clinic", {}), None),
    ],
)
def test_what_an_event_is_worth(event: Event, said: str | None) -> None:
    assert story().hear(event) == said


def test_counts_are_told_at_every_tenth_of_the_way() -> None:
    mine = story(queued=100)
    told = [mine.hear(changed("running", queued=99 - done, running=1, succeeded=done)) for done in range(100)]
    assert [index for index, line in enumerate(told) if line is not None] == list(range(0, 100, 10))


def test_what_goes_on_counts_by_its_steps_and_only_until_it_ends() -> None:
    mine = story(queued=4)
    mine.hear(changed("running", running=2, queued=2))
    mine.hear(at(50))
    mine.hear(at(25, "b"))
    assert mine.progress == pytest.approx(0.75 / 4)
    mine.hear(run("queued", reason="lost its worker"))
    assert mine.progress == pytest.approx(0.25 / 4)
    mine.hear(run("succeeded"))
    mine.hear(changed("running", running=1, queued=2, succeeded=1))
    assert mine.progress == pytest.approx(1.25 / 4)


def test_a_terminal_has_a_bar_for_each_and_the_newest_below() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False, color_system=None)
    one, other = story("one [red]"), story("other", succeeded=4)
    with live(console, [one, other]) as tell:
        for event in (run("running"), at(40), at(80, loss=None), changed("running", running=1, queued=3)):
            tell(one, event, one.hear(event))
    assert isinstance(console.file, io.StringIO)
    shown = "\n".join(console.file.getvalue().splitlines()[-6:])
    for said in ("one [red]", " 20%", "running 20%, runs: 3 queued, 1 running", "100%", "4 succeeded"):
        assert said in shown
    assert "one [red]: relu seed 3 step 40 of 100, loss 2.304" in shown
    assert "step 80 of 100, loss not finite" in shown


def test_lines_have_their_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    mine = story()
    with as_lines() as tell:
        for event in (at(1), run("running")):
            tell(mine, event, mine.hear(event))
    assert capsys.readouterr().out == "mine: relu seed 3 running\n"
