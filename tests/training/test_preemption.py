"""What watches for signals: at once, held back, and out of the way for a second one."""

import os
import signal

import pytest

from flowjax_glow.training import Preempted, Preemption

BOTH = (signal.SIGTERM, signal.SIGINT)


def handlers():
    return [signal.getsignal(each) for each in BOTH]


@pytest.mark.parametrize("signum", BOTH)
def test_a_signal_raises_once_and_the_next_one_ends_the_process(signum, capfd):
    before = handlers()
    with Preemption(), pytest.raises(Preempted):  # noqa: PT012
        try:
            os.kill(os.getpid(), signum)
        finally:
            assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
    assert handlers() == before
    assert capfd.readouterr().err == (
        f"{signum.name}: ends after this step and saves; once more ends at once\n"
    )


def test_a_signal_is_held_back_told_and_raised_afterwards():
    reached = []
    with Preemption() as preemption, pytest.raises(Preempted) as ended:  # noqa: PT012
        with preemption.deferred():
            assert not preemption.due(1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert preemption.due(2)
            with pytest.raises(Preempted), preemption.immediate():
                reached.append("inside")
            reached.append("end")
        reached.append("beyond")
    assert reached == ["end"]
    assert ended.value.step == 2


def test_what_is_held_back_can_be_interrupted_in_between():
    with Preemption() as preemption, preemption.deferred():
        with pytest.raises(Preempted), preemption.immediate():
            os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.due(1)
        preemption._requested = False  # so that the end of `deferred` does not raise here


def test_nobody_watches_without_a_with_statement():
    before = handlers()
    assert not Preemption().due(1)
    assert handlers() == before


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (0, "told to end; the same command goes on"),
        (7, "told to end, saved at step 7; the same command goes on"),
    ],
)
def test_it_says_where_it_goes_on(step, message):
    assert str(Preempted(step)) == message
