"""Drawing after runs, without a run or a figure."""

from experiments.sweeps import Sparingly


def test_it_acts_at_once_and_then_takes_a_tenth_of_the_time():
    now, acted = [0.0], []

    def act():
        acted.append(now[0])
        now[0] += 3.0

    act_sparingly = Sparingly(act, share=0.1, clock=lambda: now[0])
    for when in (10.0, 20.0, 29.0, 31.0, 50.0, 61.0):
        now[0] = max(now[0], when)
        act_sparingly()
        assert act_sparingly.pending == (acted[-1] != now[0] - 3.0)
    assert acted == [10.0, 31.0, 61.0]


def test_nothing_is_pending_before_it_is_asked_for():
    assert not Sparingly(lambda: None).pending
