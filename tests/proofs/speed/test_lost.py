"""What a kill costs, from what was seen of it."""

import pytest

from proofs.speed import lost, promises


def test_what_was_made_behind_the_checkpoint_is_lost_and_no_more() -> None:
    kill = lost.Kill(made=1250.0, from_step=1000, step_s=0.002, away_s=4.0)
    assert (kill.lost_steps, kill.lost_s) == (250.0, 0.5)


def test_a_kill_is_held_against_the_interval_and_the_rest_of_a_chunk() -> None:
    kills = [lost.Kill(made=made, from_step=0, step_s=0.01, away_s=4.0) for made in (100.0, 300.0)]
    figures = {"with checkpoints": lost.figures_of(kills, 2.0), "without": lost.figures_of(kills, 0.0)}
    assert figures["with checkpoints"]["lost_s"] == {"mean": 2.0, "most": 3.0}
    assert figures["with checkpoints"]["bound_s"] == pytest.approx(2.0 + 200 * 0.01)
    assert figures["without"]["bound_s"] is None
    assert [line.held for line in promises.of_lost(figures)] == [True, None, None]
    figures["with checkpoints"]["lost_s"]["most"] = 4.1
    assert next(iter(promises.of_lost(figures))).held is False
