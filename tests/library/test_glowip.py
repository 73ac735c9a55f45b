"""GlowIP's configuration: its choices reach the model, and without them it is a `GlowConfig`."""

import dataclasses
import re

import jax
import pytest

import flowjax_glow as fg
from flowjax_glow.glowip import AS_CONTROL, GlowIPConfig
from flowjax_glow.nets import DEVIATION
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import images

SMALL = {"levels": 3, "depth": 2, "width": 8}


def couplings(flow):
    """The coupling of every level, finest first."""
    return [level.bijectors[1].step.bijectors[2] for level in flow.levels]


def test_its_defaults_are_those_of_the_public_code():
    flow = fg.glow(GlowIPConfig())
    assert [level.bijectors[1].depth for level in flow.levels] == [48, 48, 48, 1]
    net = fg.CouplingNet(512, deviation=0.01, actnorm_factor=1.0)
    *upper, last = couplings(flow)
    assert set(upper) == {fg.AffineCoupling(net, fg.Sigmoid(), "scale-first")}
    slipped = net.clone(last_deviation=0.01)
    assert last == fg.AffineCoupling(slipped, fg.Biased(1.0), "scale-first")
    assert last.scale.bounds == (1.0, 2.0)
    for level in flow.levels:
        assert level.bijectors[1].step.bijectors[:2] == (fg.ActNorm(1.0), fg.InvertibleConv())
    assert flow.splits == (fg.Split("read", "standard"),) * 3


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"permutation": "every_step", "scale": "depth-scaled", "damped": True},
        {"permutation": "level_end", "split_prior": "learned", "top_prior": "learned"},
        {"mixing": "reverse", "memory": "invert", "net_actnorm": False},
    ],
)
def test_without_its_choices_it_is_a_glow(change):
    flow = fg.glow(GlowIPConfig(**SMALL, **AS_CONTROL, **change))
    assert flow == fg.glow(fg.GlowConfig(**SMALL, **change))


def test_every_choice_has_a_value_as_in_the_control():
    own = {field.name for field in dataclasses.fields(GlowIPConfig)}
    assert set(AS_CONTROL) == own - {field.name for field in dataclasses.fields(fg.GlowConfig)}


def test_a_ported_one_differs_from_a_glow_in_what_it_is_told_alone():
    told = {"actnorm_factor": 3.0, "split_prior": "learned"}
    assert fg.glow(PortedGlowConfig(**SMALL, **told)) == fg.glow(
        fg.GlowConfig(**SMALL, split_prior="learned")
    )
    flow = fg.glow(PortedGlowConfig(**SMALL, **told, squeeze_parts="strips", prior_edge=True))
    assert {level.bijectors[0] for level in flow.levels} == {fg.Squeeze("strips")}
    assert flow.splits == (fg.Split("read", "learned", edge=True),) * 2


@pytest.mark.parametrize(
    ("choice", "coupling", "actnorm", "depths"),
    [
        ({"form": "scale-first"}, {"form": "scale-first"}, 3.0, [2, 2, 2]),
        ({"last_depth": 1}, {}, 3.0, [2, 2, 1]),
        ({"actnorm_factor": 1.0}, {"net": {"actnorm_factor": 1.0}}, 1.0, [2, 2, 2]),
        ({"net_deviation": 0.01}, {"net": {"deviation": 0.01}}, 3.0, [2, 2, 2]),
        ({"edge": True}, {"net": {"edge": True}}, 3.0, [2, 2, 2]),
    ],
)
def test_one_choice_changes_one_thing(choice, coupling, actnorm, depths):
    flow = fg.glow(GlowIPConfig(**SMALL, **{**AS_CONTROL, **choice}))
    net = fg.CouplingNet(8, **coupling.get("net", {}))
    expected = fg.AffineCoupling(net, form=coupling.get("form", "shift-first"))
    assert couplings(flow) == [expected] * 3
    assert [level.bijectors[1].depth for level in flow.levels] == depths
    assert flow.levels[0].bijectors[1].step.bijectors[0] == fg.ActNorm(actnorm)


def test_the_slip_changes_the_last_level_alone():
    flow = fg.glow(GlowIPConfig(**SMALL, **{**AS_CONTROL, "last_slip": True}))
    *upper, last = couplings(flow)
    assert upper == [fg.AffineCoupling(fg.CouplingNet(8))] * 2
    assert last == fg.AffineCoupling(fg.CouplingNet(8, last_deviation=DEVIATION), fg.Biased(1.0))


def test_a_damped_one_divides_by_the_depth_of_each_level():
    flow = fg.glow(GlowIPConfig(**SMALL, damped=True, scale=fg.DepthScaled(4.0), last_slip=False))
    assert [coupling.net.gain for coupling in couplings(flow)] == [0.5, 0.5, 1.0]
    assert [coupling.scale.steps for coupling in couplings(flow)] == [2, 2, 1]


def test_memory_policies_give_the_same_gradients():
    config = GlowIPConfig(levels=2, depth=3, width=8, edge=True)
    flow = fg.glow(config)
    with jax.enable_x64(True):
        x = images((3, 8, 8, 1), "float64")
        params = perturbed(jax.jit(flow.init)(jax.random.key(0), x))

        def gradient(flow):
            return jax.jit(jax.grad(lambda p: fg.log_prob(flow, p, x).sum()))(params)

        wanted = gradient(flow)
        for memory in ("remat", "invert"):
            other = gradient(fg.glow(dataclasses.replace(config, memory=memory)))
            assert relative_error(other, wanted) < 1e-10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "both"}, "GlowIPConfig.form: expected one of shift-first, scale-first, got"),
        ({"last_depth": 0}, "GlowIPConfig.last_depth: expected a whole number above 0, got 0"),
        ({"last_slip": 2}, "GlowIPConfig.last_slip: expected one of False, True, got 2"),
        ({"edge": "yes"}, "GlowIPConfig.edge: expected one of False, True, got 'yes'"),
        ({"actnorm_factor": 0}, "GlowIPConfig.actnorm_factor: expected a number above 0, got 0"),
        ({"net_deviation": -1.0}, "GlowIPConfig.net_deviation: expected a number above 0, got"),
        ({"levels": 0}, "GlowConfig.levels: expected a whole number above 0, got 0"),
    ],
)
def test_wrong_choices_fail_in_the_constructor(change, message, unchecked):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        GlowIPConfig(**change)
