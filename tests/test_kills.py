"""Kills: the reduced form of ``python -m tests.soak kills``, on a model that takes a blink."""

from tests.soak import kills
from tests.soak.attempts import train_toy
from tests.training import toy


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    told = kills.soak(train_toy, toy.start(), kills=9, inside=3, seed=0, place=tmp_path)
    assert told.faults == []
    assert told.kills >= 9
    assert told.inside >= 3
    assert told.runs >= 1
