"""Bounds of rates are exact, and grades follow from them alone."""

import numpy as np
import pytest
from scipy import stats

from flowjax_glow.diagnostics import Rates, Share
from flowjax_glow.diagnostics.rates import drawn_for, enough


def rates(*rows):
    """Of ``(samples, lost, at risk)`` by level."""
    samples, lost, at_risk = np.array(rows).T
    none = np.zeros(len(rows))
    return Rates(np.arange(1.0, len(rows) + 1), samples, lost, none, at_risk, none, none, none)


@pytest.mark.parametrize(
    ("count", "of"), [(0, 1), (0, 64), (0, 512), (1, 512), (8, 4000), (900, 4000)]
)
def test_the_upper_bound_is_the_rate_that_gives_so_few_once_in_twenty(count, of):
    assert stats.binom.cdf(count, of, Share(count, of).below) == pytest.approx(0.05, rel=1e-6)
    many = of - count
    assert stats.binom.sf(many - 1, of, Share(many, of).above) == pytest.approx(0.05, rel=1e-6)


def test_all_nothing_and_nothing_at_all():
    assert Share(0, 10).above == 0
    assert Share(10, 10).below == 1
    assert (Share(0, 0).above, Share(0, 0).below) == (0, 1)


def test_a_share_is_told_with_its_count_and_its_bound():
    told = [Share(*counts).told("samples lost", 0.01) for counts in ((0, 512), (8, 4000), (2, 64))]
    assert told == [
        "0 of 512 samples lost: below 0.58 % at 95 %",
        "8 of 4000 samples lost (0.2 %): below 0.36 % at 95 %",
        "2 of 64 samples lost (3.1 %): between 0.56 % and 9.5 %, each at 95 %",
    ]
    assert Share(32, 256).told("lost", 0.01) == "32 of 256 lost (12.5 %): above 9.2 % at 95 %"
    assert Share(0, 64).told("lost", 0.01) == "0 of 64 lost: below 4.6 % at 95 %"


def test_299_samples_without_a_loss_show_one_percent():
    assert (enough(0.01), enough(0.01, 1), drawn_for(0.01, 64)) == (299, 473, 512)
    assert enough(0.001) == 2995
    assert Share(0, 298).below >= 0.01 > Share(0, 299).below


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="lost_below: expected a share between 0 and 1"):
        enough(share)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([(299, 0, 0)], "trustworthy"),
        ([(298, 0, 0)], "not enough samples"),
        ([(299, 0, 0), (298, 0, 0)], "not enough samples"),
        ([(64, 2, 2)], "not enough samples"),
        ([(64, 3, 3)], "broken"),
        ([(4000, 8, 8)], "trustworthy"),
        ([(4000, 0, 80)], "at risk"),
        ([(64, 1, 40)], "not enough samples"),  # more samples may say broken
        ([(512, 0, 0), (512, 40, 40)], "broken"),
    ],
)
def test_grades_follow_from_counts(rows, verdict):
    assert rates(*rows).verdict(0.01) == verdict


def test_no_noise_is_no_promise():
    empty = np.array([])
    assert Rates(*[empty] * 8).verdict(0.01) == "not enough samples"
    assert Rates(*[empty] * 8).told(0.01) == "no samples were drawn but z = 0"


def test_the_statement_names_the_worst_level_and_what_is_missing():
    assert rates((512, 0, 0), (512, 1, 1)).told(0.01) == (
        "1 of 512 samples lost at tau = 2 (0.2 %): below 0.92 % at 95 %"
    )
    assert rates((64, 0, 0)).told(0.01) == (
        "0 of 64 samples lost at tau = 1: below 4.6 % at 95 %; below 1 % was asked for, draw 473 "
        "or more"
    )
    assert rates((512, 0, 40)).told(0.01) == (
        "0 of 512 samples lost at tau = 1: below 0.58 % at 95 %; 40 of 512 at risk at tau = 1 "
        "(7.8 %): above 5.9 % at 95 %"
    )


@pytest.mark.parametrize("rate", [0.0, 0.0002, 0.002, 0.05, 0.3])
def test_more_samples_change_a_grade_from_not_enough_samples_alone(rate):
    """The samples of more are those of fewer and others, as a report draws them."""
    generator = np.random.default_rng(0)
    kept = 0
    for _ in range(1000):
        lost = generator.random(4096) < rate
        drawn = [rates((n, lost[:n].sum(), lost[:n].sum())) for n in (8, 64, 512, 4096)]
        grades = [each.verdict(0.01) for each in drawn]
        decided = [grade for grade in grades if grade != "not enough samples"]
        from_there = grades[len(grades) - len(decided) :]
        kept += from_there == decided and len(set(decided)) <= 1
        assert grades[-1] == ("trustworthy" if rate < 0.01 else "broken")
    assert kept >= 990
