"""bijx's bijections here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.interop import from_bijx
from tests.interop.agreement import hold

with jax.numpy_dtype_promotion("standard"):  # its modules promote as they are imported
    bijx = pytest.importorskip("bijx")

from flax import nnx

X = np.random.default_rng(0).standard_normal((6, 4))


def coupling(rngs, parity):
    mask = bijx.checker_mask((4,), parity=parity)
    template = bijx.ModuleReconstructor(bijx.AffineLinear(rngs=rngs))
    sizes = {"in_features": mask.count_secondary, "hidden_features": [8]}
    numbers = mask.count_primary * template.params_total_size
    net = bijx.nn.nets.MLP(**sizes, out_features=numbers, rngs=rngs)
    shaped = nnx.Sequential(net, lambda p: p.reshape(*p.shape[:-1], mask.count_primary, -1))
    return bijx.GeneralCouplingLayer(shaped, mask, template, bijection_event_rank=0)


def step(rngs):
    return bijx.Chain(coupling(rngs, True), coupling(rngs, False), bijx.AffineLinear(rngs=rngs))


def test_scans_chains_and_inversions_agree_layer_by_layer():
    stack = nnx.vmap(step)(nnx.Rngs(0).fork(split=3))
    turned = bijx.Inverse(bijx.Frozen(coupling(nnx.Rngs(5), True)))
    graph, state = nnx.split(bijx.Chain(bijx.ScanChain(stack), turned))

    def move(leaf):  # couplings start as the identity
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return leaf + 0.02 * jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape)

    bijection = nnx.merge(graph, jax.tree.map(move, state))
    theirs = bijx.Transformed(bijx.IndependentNormal(event_shape=(4,)), bijection)
    flow, params = from_bijx(bijection)
    x = jnp.asarray(X)

    def generate(z):
        return bijection.forward(z, jnp.zeros(len(z)))[0]

    names = hold(flow, params, x, theirs.log_density(x), generate)
    kinds = ["AffineLinear", "layer1/GeneralCouplingLayer", "layer2/GeneralCouplingLayer"]
    steps = [f"step{index}/{kind}" for index in range(3) for kind in kinds]
    assert names == ["GeneralCouplingLayer", *steps]


def test_what_is_no_bijection_is_told():
    with pytest.raises(ValueError, match="from_bijx: expected a bijection of bijx, got int"):
        from_bijx(3)
