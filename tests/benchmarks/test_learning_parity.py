"""What surrounds the training of the comparison with normflows; nothing is trained here."""

import dataclasses

import pytest

from benchmarks.learning_parity import Result, Workload, comparison, peer

OURS = Result("ours", {"jax": "1"}, Workload(steps=40), [5.0] * 30 + [4.0] * 10, 4.25, 1.0)
OTHER = dataclasses.replace(OURS, model="normflows", held_out=4.5)


def test_results_survive_the_disk(tmp_path):
    OURS.save(tmp_path / "ours.json")
    assert Result.load(tmp_path / "ours.json") == OURS


def test_losses_are_averaged_over_windows_and_the_rest():
    assert OURS.windows() == [5.0, 4.0]


def test_the_table_tells_by_how_much_ours_is_above():
    assert comparison(OURS, OTHER).splitlines()[-1].split() == [
        *("held", "out", "4.250", "4.500", "-0.250"),
    ]


def test_different_workloads_are_not_compared():
    other = dataclasses.replace(OTHER, workload=Workload(seed=1))
    with pytest.raises(ValueError, match="compare: expected two results of the same workload"):
        comparison(OURS, other)


def test_a_missing_peer_says_what_to_install():
    with pytest.raises(ValueError, match="got no no_such_peer; pip install torch normflows"):
        peer("no_such_peer")


def test_both_see_the_same_batches_and_test_examples():
    first, again = (list(Workload(steps=2).batches()) for _ in range(2))
    assert [batch.shape for batch in first] == [(32, 32, 32, 3)] * 2
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert [len(batch) for batch in Workload(held_out=40).held_out_batches()] == [32, 8]
