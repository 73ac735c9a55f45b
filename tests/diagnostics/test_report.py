"""The report finds what was broken on purpose, and names it."""

import dataclasses
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot

from flowjax_glow import GlowConfig
from flowjax_glow.diagnostics import THRESHOLDS, Threshold, stability_report
from flowjax_glow.diagnostics.blame import _seen_to_fail, suspects
from flowjax_glow.diagnostics.table import short
from tests.diagnostics.models import (
    CONFIG,
    WrongInverseLogDet,
    WrongLogDet,
    model,
    pictures,
    with_actnorm,
    with_step,
)

#: One level, so that it compiles fast; `test_plants` has more of them.
BOUNDED = dataclasses.replace(CONFIG, levels=1)

#: A bounded scale could not come near zero; one flow for all, or each would be compiled.
UNBOUNDED = GlowConfig(levels=1, depth=3, width=8)


def report(flow, params, tier="fast"):
    return stability_report(flow, params, pictures(), tier=tier)


@pytest.fixture(scope="module")
def sound():
    return report(*model(BOUNDED), tier="full")


def test_a_sound_flow_is_trustworthy_by_every_measurement(sound):
    assert sound.verdict == "trustworthy"
    assert sound.layer is None
    assert [m.name for m in sound.measurements] == list(THRESHOLDS)
    assert {m.grade for m in sound.measurements} == {"trustworthy"}


def test_it_prints_converts_and_draws(sound, tmp_path):
    text = str(sound)
    told = "0 of 512 samples lost at tau = 1: below 0.58 % at 95 %"
    assert text.startswith(f"verdict: trustworthy: {told}\n")
    assert all(name in text for name in THRESHOLDS)
    assert "\n  0 of 12 images in other bins: below 22.1 % at 95 %\n" in text
    last = " ".join(text[text.rindex("  samples at tau") :].split())
    assert last.startswith("samples at tau = 1: 0 of 512 lost: below 0.58 % at 95 %; ")
    assert last.endswith(" times those of images")
    assert max(map(len, text.splitlines())) <= 80
    plain = json.loads(json.dumps(sound.to_json(), allow_nan=False))
    assert plain["verdict"] == "trustworthy"
    assert plain["statement"] == told
    assert plain["tables"]["rates"]["lost"] == [0] * 5  # z = 0 has no rate
    assert plain["tables"]["samples"]["samples"] == [1, 512, 512, 512, 512, 512]
    assert len(plain["tables"]["layers, samples"]["gain"]) == 3 * 3 + 1
    sound.plot().savefig(tmp_path / "report.png")
    for table in sound.tables.values():
        axes = table.plot()
        assert axes.get_title() == table.title
        pyplot.close(axes.figure)


@pytest.mark.parametrize(
    ("raw", "seen"), [(-18.0, "grow beyond those of images"), (-200.0, "gives is not finite")]
)
def test_a_scale_near_zero_is_named(raw, seen):
    flow, params = model(UNBOUNDED)

    def plant(actnorm, conv, coupling):
        last = coupling["last"]
        shift = last["shift"].at[1, -1].set(raw)  # of step 1, the raw scale of one channel
        return actnorm, conv, {**coupling, "last": {**last, "shift": shift}}

    found = report(flow, with_step(params, 0, plant))
    assert found.verdict == "broken"
    text = " ".join(str(found).split())
    assert re.match(r"verdict: broken: .*[1-9]\d* of 512 samples lost at tau = 1 ", text)
    assert found.layer == "level0/step1/AffineCoupling"
    assert found.suspects[0].kind == "scale near zero"
    assert found.reason.startswith("at images it multiplies by numbers from ")
    layer, _, reason = next(_seen_to_fail(found.tables, found.tables["first failures"]))
    assert (layer, seen in reason) == (found.layer, True)
    # Step 0 reads what step 1 has blown up.
    overflow = "; some samples are not finite from level0/step0/AffineCoupling on"
    assert reason.endswith(overflow) == (raw == -18.0)


@pytest.mark.parametrize("part", ["shift", "s"])
def test_a_steep_net_is_named_and_which_of_its_outputs_is_steep(part):
    flow, params = model(BOUNDED)  # so that 1 / s cannot be what stretches

    def plant(actnorm, conv, coupling):
        last = coupling["last"]
        outputs = slice(6) if part == "shift" else slice(6, None)
        kernel = last["kernel"].at[1, ..., outputs].multiply(300.0)
        return actnorm, conv, {**coupling, "last": {**last, "kernel": kernel}}

    tables = report(flow, with_step(params, 0, plant)).tables
    layer = "level0/step1/AffineCoupling"
    row = list(tables["couplings, images"].layer).index(layer)
    seen = [tables[f"couplings, {name}"] for name in ("images", "samples")]
    told = max(seen, key=lambda table: table.gain[row])
    terms = {"1 / s": told.by_division, "s": told.by_scale, "shift": told.by_shift}
    assert max(terms, key=lambda name: terms[name][row]) == part
    if part == "shift":  # the steep s fails nobody
        named, kind, reason = next(suspects(tables))
        assert kind == "seen to fail first"
        assert named == layer
        failed = tables["first failures"]
        first = list(failed.layer).index(layer)
        assert failed.by_shift[first] > 10 * max(failed.by_division[first], failed.by_scale[first])
        assert f"{short(float(failed.by_shift[first]))} in shift" in reason


def test_a_matrix_near_singular_is_named():
    flow, params = model(UNBOUNDED)

    def plant(actnorm, conv, coupling):
        u, s, v = np.linalg.svd(np.asarray(conv["weight"][2]))
        s[-1] = 1e-7
        weight = conv["weight"].at[2].set(jnp.asarray((u * s) @ v))
        return actnorm, {"weight": weight}, coupling

    found = report(flow, with_step(params, 0, plant))
    assert found.verdict == "broken"
    assert found.layer == "level0/step2/InvertibleConv"


def test_a_nan_weight_is_named():
    flow, params = model(UNBOUNDED)

    def plant(actnorm, conv, coupling):
        kernel = coupling["second"]["kernel"].at[0, 0, 0, 3, 4].set(jnp.nan)
        return actnorm, conv, {**coupling, "second": {**coupling["second"], "kernel": kernel}}

    found = report(flow, with_step(params, 0, plant))
    assert found.verdict == "broken"
    assert found.layer == "level0/step0/AffineCoupling"
    assert "not finite" in found.reason


@pytest.mark.parametrize("wrong", [WrongLogDet(), WrongInverseLogDet()], ids=["both", "inverse"])
def test_a_wrong_log_det_is_named(wrong):
    flow, params = model(BOUNDED)
    found = report(with_actnorm(flow, 0, wrong), params)
    assert found.verdict == "broken"
    assert found.layer.startswith("level0/step")
    assert found.layer.endswith(type(wrong).__name__)
    assert "log-det" in found.reason


def test_grades():
    threshold = Threshold(at_risk=1.0, broken=2.0)
    grades = [threshold.grade(value) for value in (1.0, 1.5, 2.0, 2.5, np.nan, np.inf)]
    assert grades == ["trustworthy", "at risk", "at risk", "broken", "broken", "broken"]


def test_the_tier_is_checked(unchecked):
    with pytest.raises(ValueError, match=r"stability_report\.tier: expected .*fast.*full"):
        report(*model(BOUNDED), tier="quick")
