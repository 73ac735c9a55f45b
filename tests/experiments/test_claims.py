"""Every verdict of every claim, from runs that are made up."""

import dataclasses
import json
import math
import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from experiments.claims import thresholds
from experiments.claims.__main__ import Claims
from experiments.claims.report import claims_text, write_claims
from experiments.claims.rules import judge
from experiments.compare import Compare
from flowjax_glow.runs.experiment import CLIPS
from tests.commands.invoke import invoke
from tests.experiments.synthetic import IMAGES, SAMPLES, SEEDS, clipping, look, run, runs, shifted

CLAIMS = [
    *("C1", "C1-tau1", "C2", "C3", "C4", "C4-faster", "C4-tau1", "C5", "C5-lost", "C6"),
    *("D", "D-damped"),
]
HARM, NOISY = (0.05, 0.06, 0.05), (-0.2, 0.0, 0.3)
BROKEN = clipping(errors=math.inf)
REPRODUCED, NOT, UNCLEAR = "reproduced", "not reproduced", "inconclusive"


def verdict(claim, *groups):
    verdicts = {each.claim: each for each in judge(list(chain(*groups)))}
    return verdicts[claim]


def result(claim, *groups):
    return verdict(claim, *groups).verdict


def remedies(**changes):
    """Biased and bounded runs, the second of them changed."""
    return [*runs("biased"), *runs("bounded", **changes)]


def test_one_verdict_per_claim_in_order():
    assert [each.claim for each in judge([])] == CLAIMS
    assert [each.claim for each in judge([]) if each.ours] == [
        "C1-tau1",
        "C4-tau1",
        "C5-lost",
        "D",
        "D-damped",
    ]


def test_without_runs_all_is_inconclusive():
    assert {each.verdict for each in judge([])} == {UNCLEAR}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_fewer_than_three_seeds_are_inconclusive_always(seeds):
    everything = [
        *runs(seeds=seeds, clips=clipping(1e9, 0.2), looks=look(hits=SAMPLES)),
        *runs("additive", seeds=seeds, shifts=HARM),
        *runs("biased", seeds=seeds, shifts=HARM),
        *runs("bounded", seeds=seeds, looks=look(hits=9)),
        *runs("randomized", seeds=seeds, clips=BROKEN),
        *runs("randomized-level-end", seeds=seeds, looks=look(broken=9)),
        *runs("signal", seeds=seeds),
        *runs("depth-scaled", seeds=seeds, looks=look(broken=9)),
        *runs("damped", seeds=seeds),
    ]
    verdicts = judge(everything)
    assert {each.verdict for each in verdicts} == {UNCLEAR}
    assert all(re.search(rf"{len(seeds)} of (3|16) seeds", each.statement) for each in verdicts)


def test_a_seed_that_the_variant_lacks_does_not_count():
    assert result("C3", runs(), runs("additive", seeds=(0, 1), shifts=HARM)) == UNCLEAR


@pytest.mark.parametrize("status", ["running", "failed", "unknown"])
def test_unfinished_runs_are_no_runs(status):
    found = verdict("C3", runs(), runs("additive", shifts=HARM, status=["done", "done", status]))
    assert (found.verdict, found.seeds) == (UNCLEAR, (0, 1))


# C1


@pytest.mark.parametrize(
    ("zero_max", "gap", "expected"),
    [
        ([1e9, math.inf, math.nan], 0.2, REPRODUCED),
        ([2.5, 2.3, 2.4], 0.0, NOT),
        ([2.5, 2.3, 2.4], 0.2, NOT),
        ([1e9, math.inf, 1e9], 0.0, NOT),  # the clip makes no visible difference
        ([2.5, math.inf, 2.4], 0.2, UNCLEAR),  # nothing confirms the one seed
        ([2.5, math.inf, 60.0], 0.2, REPRODUCED),
    ],
)
def test_c1(zero_max, gap, expected):
    assert result("C1", runs(clips=[clipping(each, gap) for each in zero_max])) == expected


def test_c1_counts_pixels_that_are_finite_in_one_image_only():
    lost = clipping(math.inf)
    lost["zero_images"][0] = np.nan
    found = verdict("C1", runs(clips=lost))
    assert found.measurements["difference between clips"]["mean"] == 1.0
    lost["zero_images"][:] = np.nan
    found = verdict("C1", runs(clips=lost))
    assert found.measurements["difference between clips"]["mean"] == 0.0


def test_c1_ignores_the_decode_without_a_clip():
    lost = clipping(math.inf)
    lost["zero_images"][-1] = np.nan
    assert result("C1", runs(clips=lost)) == NOT


@pytest.mark.parametrize(
    ("hits", "expected"),
    [((500, 600, 700), REPRODUCED), ((40, 50, 60), REPRODUCED), ((0, 0, 0), NOT),
     ((0, 5, 200), UNCLEAR), ((9, 11, 10), UNCLEAR)],
)  # fmt: skip
def test_c1_at_full_noise(hits, expected):
    assert result("C1-tau1", runs(looks=[look(hits=each) for each in hits])) == expected


def test_activations_that_are_nan_are_hits():
    seen = look()
    seen["max_activation"][0] = np.nan
    found = verdict("C1-tau1", runs(looks=seen)).measurements["rate of samples that hit the clip"]
    assert found["counts"] == {seed: [SAMPLES, SAMPLES] for seed in SEEDS}


# C2


@pytest.mark.parametrize(
    ("low", "expected", "direction"),
    [
        ((0.05, 0.04, 0.06), REPRODUCED, "the tail grows"),
        ((0.0, 0.0, 0.0), REPRODUCED, "the tail grows"),
        ((0.45, 0.46, 0.45), NOT, "the tail grows"),  # by less than a factor of two
        ((0.9, 0.95, 0.85), NOT, "the tail shrinks"),
        ((0.9, 0.05, 0.01), UNCLEAR, "no direction is shown"),
    ],
)
def test_c2(low, expected, direction):
    found = verdict("C2", runs(looks=[look(own=(0.5, each)) for each in low]))
    assert found.verdict == expected
    assert found.statement.startswith(direction)


def test_c2_asks_for_the_smallest_scale_too():
    seen = look(own=(0.5, 0.05))
    seen["own_min"] = np.array([[0.04, 0.04]])
    assert result("C2", runs(looks=seen)) == NOT


def test_c2_says_nothing_of_a_flow_without_splits():
    seen = look()
    seen["s_quantiles"], seen["s_below"] = np.ones((0, 7, 4)), np.ones((0, 7, 2))
    seen["own_tail"] = seen["own_min"] = np.ones((0, 2))
    seen["own_border"] = seen["own_channel"] = np.ones((0, 2))
    assert result("C2", runs(looks=seen)) == UNCLEAR


def test_c2_takes_the_split_with_the_largest_fall():
    seen = look(own=(0.5, 0.5))
    seen["own_tail"] = seen["own_min"] = np.array([[0.5, 0.01], [0.5, 0.5]])
    assert result("C2", runs(looks=seen)) == REPRODUCED


def test_c2_tells_where_the_outliers_of_the_coarsest_split_are():
    seen = look()
    seen["own_border"], seen["own_channel"] = np.array([[0.4, 0.9]]), np.array([[0.3, 1.0]])
    found = verdict("C2", runs(looks=seen)).measurements
    assert found["outliers under low noise: share at the border"]["mean"] == 0.9
    assert found["outliers under low noise: share in one channel"]["mean"] == 1.0


# C3


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [(HARM, REPRODUCED), ((0.0, 0.001, 0.0), NOT), ((-0.05, -0.06, -0.05), NOT), (NOISY, UNCLEAR)],
)
def test_c3(shifts, expected):
    assert result("C3", runs(), runs("additive", shifts=shifts)) == expected


def test_differences_are_paired_by_seed():
    """Seeds that differ by far more than the variants do not hide the difference."""
    spread = (0.0, 1.0, 2.0)
    harmed = tuple(shift + harm for shift, harm in zip(spread, HARM))
    assert result("C3", runs(shifts=spread), runs("additive", shifts=harmed)) == REPRODUCED


def test_only_the_last_third_of_the_common_windows_is_late():
    early = [run("additive", seed, losses=[9.0] * 7 + shifted(seed, 0.0)[7:]) for seed in SEEDS]
    assert result("C3", runs(), early) == NOT
    longer = [run("additive", seed, losses=[*shifted(seed, 0.0), 9.0, 9.0]) for seed in SEEDS]
    assert result("C3", runs(), longer) == NOT


def test_runs_without_a_window_cannot_be_compared():
    short = [dataclasses.replace(each, metrics=()) for each in runs("additive")]
    found = verdict("C3", runs(), short)
    assert (found.verdict, found.seeds) == (UNCLEAR, SEEDS)


@pytest.mark.parametrize(
    ("diverged", "expected"), [((2,), UNCLEAR), ((1, 2), UNCLEAR), ((0, 1, 2), REPRODUCED)]
)
def test_a_diverged_run_has_an_infinite_loss(diverged, expected):
    status = ["diverged" if seed in diverged else "done" for seed in SEEDS]
    found = verdict("C3", runs(), runs("additive", status=status))
    assert (found.verdict, found.seeds) == (expected, SEEDS)
    assert all(f"additive seed {seed}" in found.statement for seed in diverged)


def test_where_both_diverged_there_is_no_difference():
    status = ["diverged", "done", "done"]
    found = verdict("C3", runs(status=status), runs("additive", shifts=HARM, status=status))
    assert found.verdict == UNCLEAR
    late = found.measurements["additive: late loss minus control"]
    assert sorted(late["per_seed"]) == [1, 2]


def test_a_window_that_is_nan_is_an_infinite_loss():
    lost = [run("additive", seed, losses=[*shifted(seed, 0.0)[:-1], math.nan]) for seed in SEEDS]
    assert result("C3", runs(), lost) == REPRODUCED


# C4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REPRODUCED),
        ({"shifts": (-0.05, -0.06, -0.05)}, REPRODUCED),
        ({"shifts": HARM}, NOT),
        ({"shifts": NOISY}, UNCLEAR),
        ({"clips": [clipping(), clipping(), clipping(60.0)]}, NOT),
        ({"clips": [clipping(3.0), clipping(0.1), clipping(49.0)]}, UNCLEAR),
        ({"clips": [clipping(), clipping(), clipping(image_hits=1)]}, NOT),
        ({"looks": [look(), look(), look(inexact=1)]}, NOT),
        ({"looks": look(hits=SAMPLES)}, REPRODUCED),  # C4-tau1 judges samples
        ({"status": ["done", "done", "diverged"]}, UNCLEAR),
        ({"status": "diverged"}, NOT),
    ],
)
def test_c4(changes, expected):
    assert result("C4", runs(), remedies(**changes)) == expected


def test_c4_needs_both_remedies():
    assert result("C4", runs(), runs("biased")) == UNCLEAR


def test_none_of_too_few_images_is_undecided():
    few = clipping()
    few["reconstruction_hit"] = few["reconstruction_hit"][:, :64]
    assert result("C4", runs(), remedies(clips=few)) == UNCLEAR


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [((-0.05, -0.06, -0.05), REPRODUCED), ((0.0, 0.001, 0.0), NOT), (HARM, NOT), (NOISY, UNCLEAR)],
)
def test_c4_faster(shifts, expected):
    found = [*runs("biased", shifts=(-0.05, -0.06, -0.05)), *runs("bounded", shifts=shifts)]
    assert result("C4-faster", runs(), found) == expected


def test_the_first_window_is_not_faster():
    ahead = [
        run(name, seed, losses=[-9.0, *shifted(seed, 0.0)[1:]])
        for name in ("biased", "bounded")
        for seed in SEEDS
    ]
    assert result("C4-faster", runs(), ahead) == NOT


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REPRODUCED),
        ({"looks": [look(hits=1), look(), look()]}, NOT),
        ({"looks": [look(broken=1), look(), look()]}, NOT),
        ({"looks": look(hits=9, at=2)}, REPRODUCED),  # at another noise level
        ({"status": ["diverged", "done", "done"]}, UNCLEAR),
    ],
)
def test_c4_at_full_noise(changes, expected):
    assert result("C4-tau1", remedies(**changes)) == expected


# C5


def kindest(clip, error=1e-6):
    """Every clip breaks all images but one clip."""
    errors = np.full(len(CLIPS), math.nan)
    errors[CLIPS.index(clip)] = error
    return clipping(errors=errors)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"clips": BROKEN}, REPRODUCED),
        ({"clips": kindest(math.inf)}, REPRODUCED),  # no clip is no clip value
        ({"clips": kindest(50.0)}, NOT),
        ({}, NOT),
        ({"clips": BROKEN, "shifts": HARM}, NOT),
        ({"clips": BROKEN, "shifts": (-0.05, -0.06, -0.05)}, NOT),
        ({"clips": BROKEN, "shifts": NOISY}, UNCLEAR),
        ({"clips": BROKEN, "before": kindest(10.0)}, NOT),
        ({"clips": [BROKEN, BROKEN, clipping()]}, UNCLEAR),
        ({"clips": BROKEN, "status": ["done", "done", "diverged"]}, UNCLEAR),
    ],
)
def test_c5(changes, expected):
    assert result("C5", runs(), runs("randomized", **changes)) == expected


def test_c5_is_about_more_than_the_control_does():
    assert result("C5", runs(clips=BROKEN), runs("randomized", clips=BROKEN)) == NOT


LOST = clipping(redrawn=math.inf)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"clips": LOST}, REPRODUCED),
        ({"clips": clipping(redrawn=1e-3)}, NOT),
        ({"clips": clipping(redrawn=[math.inf] * 8 + [1e-3])}, NOT),  # fine without a clip
        ({"clips": LOST, "before": kindest(10.0)}, NOT),  # broken before, at the other clips
        ({"clips": [LOST, LOST, clipping(redrawn=1e-3)]}, UNCLEAR),
        ({}, UNCLEAR),  # nothing was drawn anew
    ],
)
def test_c5_lost(changes, expected):
    assert result("C5-lost", runs("randomized", **changes)) == expected


# D


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REPRODUCED),
        ({"shifts": HARM}, NOT),
        ({"shifts": NOISY}, UNCLEAR),
        ({"looks": [look(), look(broken=1, at=3), look()]}, NOT),
        ({"looks": [look(), look(hits=1, at=5), look()]}, NOT),
        ({"looks": [look(), look(inexact=1), look()]}, NOT),
        ({"clips": [clipping(), clipping(math.inf), clipping()]}, NOT),
        ({"clips": [clipping(), clipping(image_hits=2), clipping()]}, NOT),
        ({"status": ["done", "done", "diverged"]}, UNCLEAR),
    ],
)
def test_our_remedies(changes, expected):
    assert result("D", runs(), runs("depth-scaled", **changes)) == expected
    assert result("D-damped", runs(), runs("damped", **changes)) == expected


HALF, FEW = SAMPLES // 2, SAMPLES // 20


@pytest.mark.parametrize(
    ("mixed", "signal", "expected"),
    [
        ({"looks": look(broken=HALF)}, {"looks": look(broken=HALF)}, REPRODUCED),
        ({"looks": look(broken=HALF)}, {"looks": look(broken=FEW)}, NOT),
        ({"looks": look(broken=FEW)}, {"looks": look(broken=HALF)}, NOT),
        ({"looks": look(broken=HALF), "shifts": HARM}, {"looks": look(broken=HALF)}, NOT),
        (
            {"looks": [look(), look(), look(broken=HALF)]},
            {"looks": look(broken=HALF)},
            UNCLEAR,
        ),
    ],
)
def test_the_noise_path(mixed, signal, expected):
    found = noise_path(16, mixed, signal)
    assert found.verdict == expected
    beside = found.measurements["openai: share of broken samples minus learned's"]
    assert "outcome" not in beside
    assert noise_path(15, mixed, signal).verdict == UNCLEAR


def noise_path(seeds, mixed, signal):
    """The verdict on as many seeds, of which the parts that differ by seed repeat."""

    def many(variant, **parts):
        groups = [runs(variant, **parts) for _ in range(0, seeds, len(SEEDS))]
        listed = list(chain(*groups))[:seeds]
        return [dataclasses.replace(each, seed=seed) for seed, each in enumerate(listed)]

    return verdict(
        "C6", many("control"), many("randomized-level-end", **mixed), many("signal", **signal)
    )


# What is written


def test_measurements_hold_the_numbers_behind_the_verdict():
    found = verdict("C3", runs(), runs("additive", shifts=HARM))
    late = found.measurements["additive: late loss minus control"]
    assert late["per_seed"] == pytest.approx(dict(zip(SEEDS, HARM)))
    assert late["mean"] == pytest.approx(np.mean(HARM))
    assert late["interval"][0] > late["threshold"] == thresholds.LOSS_MARGIN
    assert (late["asked"], late["outcome"]) == ("above 0.02", "holds")
    beside = found.measurements["additive: held-out minus control"]
    assert "outcome" not in beside
    assert beside["mean"] == pytest.approx(np.mean(HARM))


def test_rates_say_how_many_of_how_many():
    found = verdict("D", runs(), runs("depth-scaled", looks=look(inexact=1)))
    images = found.measurements["depth-scaled: images not bit-exact"]
    assert images["counts"] == {seed: [1, IMAGES] for seed in SEEDS}
    assert f"3 of {3 * IMAGES}" in found.statement


def test_claims_json_is_strict(tmp_path):
    path = tmp_path / "claims.json"
    status = ["done", "done", "diverged"]
    write_claims(path, judge([*runs(), *runs("additive", status=status)]))
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert [each["claim"] for each in content["claims"]] == CLAIMS
    late = content["claims"][3]["measurements"]["additive: late loss minus control"]
    assert late["per_seed"]["2"] == late["mean"] == "Infinity"
    assert late["interval"] == ["-Infinity", "Infinity"]
    assert content["claims"][0]["rests_on"][0] == "figure1"


def test_the_text_has_what_was_judged_and_says_what_is_missing():
    verdicts = judge([*runs(), *runs("additive", shifts=HARM)])
    text = claims_text(verdicts)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for each in verdicts:
        if each.missing:
            assert f"{each.claim} ({each.missing})" in words
        else:
            assert f"{each.claim}: {each.verdict} (seeds 0, 1, 2" in words
            assert each.title in words
            assert each.statement in words
    assert "C3: reproduced" in words
    assert "C4 (0 of 3 seeds of biased, bounded, control)" in words


def test_with_no_runs_the_text_names_all_claims():
    assert all(each in claims_text(judge([])) for each in CLAIMS)


def test_the_page_quotes_every_threshold():
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
    names = [name for name in vars(thresholds) if name.isupper()]
    assert len(names) == 16
    for name in names:
        assert f"| `{name}` | {getattr(thresholds, name):g} |" in page


def test_the_page_has_a_rule_per_claim():
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
    assert re.findall(r"^### ([\w-]+):", page, re.MULTILINE) == CLAIMS


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_the_command_refuses_other_folders_in_one_line(tmp_path, name):
    code, output = invoke(Claims, tmp_path / name)
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1


def sweep_folder(path):
    folder = path / "control-seed0"
    folder.mkdir()
    (path / "sweep.json").write_text(json.dumps({"runs": ["control-seed0", "control-seed1"]}))
    (folder / "config.json").write_text(json.dumps({"variant": "control", "seed": 0}))
    return folder


def test_the_command_judges_a_sweep_again(tmp_path):
    sweep_folder(tmp_path)
    code, output = invoke(Claims, tmp_path)
    assert code == 0, output
    assert "Not judged" in output
    assert len(json.loads((tmp_path / "claims.json").read_text())["claims"]) == len(CLAIMS)


def test_two_variants_are_compared_seed_by_seed(monkeypatch):
    everything = [*runs(), *runs("additive", shifts=HARM)]
    monkeypatch.setattr("experiments.compare.load_sweep", lambda _: everything)
    code, output = invoke(Compare, "somewhere", "additive", "control")
    assert code == 0, output
    assert max(map(len, output.splitlines())) <= 80
    lines = output.splitlines()
    late = next(number for number, line in enumerate(lines) if "late loss" in line)
    assert lines[late].split()[3:] == ["+0.053", "[+0.039,", "+0.068]"]
    assert lines[late + 1] == "    by seed 0: +0.050, 1: +0.060, 2: +0.050"
    code, output = invoke(Compare, "somewhere", "additive", "signal")
    assert code == 2
    assert "expected a seed that additive and signal have both finished, got none" in output


def test_the_command_writes_nothing_into_a_run_folder(tmp_path):
    folder = sweep_folder(tmp_path)
    assert invoke(Claims, folder)[0] == 0
    assert [file.name for file in folder.iterdir()] == ["config.json"]
