"""A busy service is told less often; what it is told is all there."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.watcher.calls import ENDS, Call, Service
from gradient_clinic.watcher.outbox import Line, Outbox
from gradient_clinic.watcher.pace import Pace
from gradient_clinic.watcher.spool import Spool


def after(*seconds: float) -> float:
    pace = Pace()
    for one in seconds:
        pace.took(one)
    return pace.gathers_s


@pytest.mark.parametrize(
    ("takes_s", "gathers_s"),
    [(0.005, 1.0), (0.1, 1.0), (0.3, 3.0), (0.5, 5.0), (10.0, 5.0)],
    ids=["idle", "a tenth of a second", "busy", "very busy", "hardly alive"],
)
def test_messages_take_a_tenth_of_the_time_at_most(takes_s: float, gathers_s: float) -> None:
    assert after(*[takes_s] * 50) == pytest.approx(gathers_s, rel=1e-5)


def test_one_slow_message_among_many_changes_nothing() -> None:
    assert after(*[0.01] * 50, 0.35) == 1.0


def test_a_service_that_has_come_to_itself_is_told_as_often_as_before() -> None:
    assert after(*[2.0] * 50, *[0.02] * 15) == 1.0


def test_those_that_begin_at_once_do_not_go_on_to_send_at_once() -> None:
    drawn = [Pace().next_s() for _ in range(200)]
    assert 0.5 <= min(drawn) < 0.7
    assert 1.3 < max(drawn) <= 1.5


def test_the_training_draws_what_it_would_without() -> None:
    random.seed(1)
    alone = random.random()
    random.seed(1)
    Pace().next_s()
    assert random.random() == alone


class Slow(Service):
    """Answers what it is sent after a while, and keeps it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", None)
        self.kept: list[Call] = []
        self.heard = threading.Event()

    def send(self, call: Call) -> None:
        if call.first not in {None, ENDS}:
            time.sleep(0.9)
            self.heard.set()
        self.kept.append(call)


def test_the_thread_that_sends_goes_by_how_long_its_messages_take(tmp_path: Path) -> None:
    service, opening = Slow(), Call(None, {"token": "one"})
    outbox = Outbox(service, Spool(tmp_path / "spool", 1 << 20, opening), opening, {}, print)
    outbox.add(Line(0, np.ones((len(SIGNALS), 2)), np.ones(len(CURVES))))
    assert service.heard.wait(60.0)
    for step in range(1, 5):
        outbox.add(Line(step, np.ones((len(SIGNALS), 2)), np.ones(len(CURVES))))
    outbox.close({"token": "one"}, 60.0, join=True)
    assert [call.first for call in service.kept] == [None, 0, 1, ENDS]
    assert outbox.pace.gathers_s > 2.0
