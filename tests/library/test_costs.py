"""What a train step costs, as XLA counts it: FLOPs on unrolled programs, memory as compiled."""

import jax
import jax.numpy as jnp
import pytest

import flowjax_glow as fg

IMAGES = jax.ShapeDtypeStruct((4, 8, 8, 12), jnp.float32)


def unrolled(memory: str, depth: int = 2, width: int = 64) -> fg.Bijector:
    """A level without loops, whose bodies XLA would count once: every step is a scan of one."""
    step = fg.Chain(
        fg.ActNorm(), fg.InvertibleConv(), fg.AffineCoupling(fg.CouplingNet(width), fg.Bounded())
    )
    return fg.Chain(*[fg.Repeat(step, 1, memory)] * depth)


def loss(flow: fg.Bijector):
    return lambda params, x: -fg.log_prob(flow, params, x).mean()


def flops(function, *args) -> float:
    costs = jax.jit(function).lower(*args).cost_analysis()
    return costs["flops"]


@pytest.mark.parametrize(("memory", "allowed"), [("store", 3.3), ("remat", 4.4), ("invert", 4.4)])
def test_flops_of_a_gradient_over_those_of_the_loss(memory, allowed):
    flow = unrolled(memory)
    params = jax.eval_shape(flow.init, jax.random.key(0), IMAGES)
    forward = flops(loss(flow), params, IMAGES)
    ratio = flops(jax.value_and_grad(loss(flow)), params, IMAGES) / forward
    assert 2.5 < ratio < allowed


def temporary_bytes(memory: str, depth: int) -> int:
    """Of a compiled gradient, less the gradient itself, which grows with depth in any case."""
    flow = fg.glow(fg.GlowConfig(levels=1, depth=depth, width=16, memory=memory))
    images = jax.ShapeDtypeStruct((32, 16, 16, 3), jnp.float32)
    params = jax.eval_shape(flow.init, jax.random.key(0), images)
    compiled = jax.jit(jax.grad(loss(flow))).lower(params, images).compile()
    gradient = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    return compiled.memory_analysis().temp_size_in_bytes - gradient


def test_memory_of_inverted_steps_does_not_grow_with_depth():
    assert temporary_bytes("invert", 32) <= 1.1 * temporary_bytes("invert", 8)
    assert temporary_bytes("store", 32) > 2 * temporary_bytes("store", 8)


@pytest.mark.parametrize("memory", ["store", "remat", "invert"])
def test_programs_do_not_grow_with_depth(memory):
    def lines(depth: int) -> int:
        flow = fg.glow(fg.GlowConfig(levels=1, depth=depth, width=8, memory=memory))
        images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
        params = jax.eval_shape(flow.init, jax.random.key(0), images)
        return jax.jit(jax.grad(loss(flow))).lower(params, images).as_text().count("\n")

    assert lines(32) == lines(8)
