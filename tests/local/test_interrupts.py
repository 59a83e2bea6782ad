"""What Ctrl-C means the first, the second and the third time."""

import signal

import pytest

from local.interrupts import InterruptedBySignal, Interrupts


def test_the_first_asks_the_second_insists_and_more_change_nothing() -> None:
    with Interrupts():
        for again in (False, True):
            with pytest.raises(InterruptedBySignal) as heard:
                signal.raise_signal(signal.SIGINT)
            assert heard.value.again is again
        signal.raise_signal(signal.SIGINT)


def test_once_the_end_is_under_way_the_next_one_insists() -> None:
    with Interrupts() as interrupts:
        interrupts.ending()
        with pytest.raises(InterruptedBySignal) as heard:
            signal.raise_signal(signal.SIGTERM)
        assert heard.value.again


def test_what_must_be_done_is_not_interrupted() -> None:
    with Interrupts() as interrupts:
        interrupts.clearing_up()
        signal.raise_signal(signal.SIGINT)


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
