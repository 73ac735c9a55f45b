"""Intervals and rank correlation against SciPy's."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.claims.statistics import (
    Count,
    clopper_pearson,
    kendall,
    mean,
    mean_interval,
    pool,
    rate_interval,
)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_interval_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(1.0, 2.0, count)
    expected = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(mean_interval(values), expected, rtol=1e-10)


def test_interval_of_three_seeds_by_hand():
    lower, upper = mean_interval([1.0, 2.0, 3.0])  # sd 1, t(2) = 4.303
    assert (lower, upper) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)


def test_infinite_values_decide_only_if_they_agree():
    assert mean_interval([math.inf] * 3) == (math.inf, math.inf)
    assert mean_interval([math.inf, 0.0, 0.0]) == (-math.inf, math.inf)
    assert mean_interval([math.inf, -math.inf]) == (-math.inf, math.inf)
    assert mean_interval([1.0]) == mean_interval([]) == (-math.inf, math.inf)


def test_mean_of_nothing_and_of_opposite_infinities_is_nan():
    assert math.isnan(mean([]))
    assert math.isnan(mean([math.inf, -math.inf]))
    assert mean(iter([1.0, 2.0])) == 1.5


@pytest.mark.parametrize("found", [0, 1, 17, 99, 100])
def test_clopper_pearson_is_the_exact_binomial_interval(found):
    expected = stats.binomtest(found, 100).proportion_ci(0.95, method="exact")
    assert clopper_pearson(found, 100) == pytest.approx((expected.low, expected.high), abs=1e-10)


def test_clopper_pearson_of_none_in_closed_form():
    assert clopper_pearson(0, 368) == (0.0, pytest.approx(1 - 0.025 ** (1 / 368)))
    assert clopper_pearson(0, 367)[1] > 0.01 > clopper_pearson(0, 368)[1]
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_rate_interval_is_the_wider_of_between_and_within_seeds():
    agree = [Count(10, 100)] * 3
    assert rate_interval(agree) == clopper_pearson(30, 300)
    differ = [Count(1, 1000), Count(30, 1000), Count(300, 1000)]
    lower, upper = rate_interval(differ)
    pooled = clopper_pearson(*pool(differ))
    assert lower < pooled[0] < pooled[1] < upper
    logits = [math.log((k + 0.5) / (1000.5 - k)) for k, _ in differ]
    across = stats.t.interval(0.95, 2, loc=np.mean(logits), scale=stats.sem(logits))
    assert (lower, upper) == pytest.approx(tuple(1 / (1 + np.exp(-np.array(across)))))


def test_rate_interval_of_one_seed_and_of_none_is_everything():
    assert rate_interval([Count(5, 10)]) == (0.0, 1.0)
    assert rate_interval([]) == (0.0, 1.0)


def test_kendall_is_scipys_without_ties():
    first, second = np.random.default_rng(0).normal(size=(2, 6))
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_kendall_counts_ties_as_no_order():
    assert kendall([1, 2, 3], [1, 1, 1]) == 0
    assert kendall([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / 3)
