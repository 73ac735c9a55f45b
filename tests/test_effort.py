"""Levels of XLA's optimizations: one that the process was told stays; others go by the work."""

import jax
import jax.numpy as jnp
import pytest

from flowjax_glow import effort

BRIEF = "jax_disable_most_optimizations"  # what a sweep of the preset smoke sets


def test_the_tests_themselves_are_compiled_at_the_level_of_their_flags():
    assert effort.WELL is None


@pytest.mark.parametrize(
    ("flags", "brief", "chosen"),
    [
        ("", False, False),
        ("--xla_dump_to=/nowhere", False, False),
        ("--xla_backend_optimization_level=1", False, True),
        ("", True, True),
    ],
)
def test_a_level_is_chosen_by_a_flag_or_for_brief_programs(monkeypatch, flags, brief, chosen):
    monkeypatch.setenv("XLA_FLAGS", flags)
    before = jax.config.values[BRIEF]
    try:
        jax.config.update(BRIEF, brief)
        assert effort._chosen() == chosen
    finally:
        jax.config.update(BRIEF, before)


def test_a_program_is_compiled_briefly_where_it_has_little_to_do(monkeypatch):
    made = []

    def jit(function, *, static_argnums, compiler_options):
        def run(flow, params, batch):
            made.append(compiler_options)
            return function(flow, params, batch)

        return run

    monkeypatch.setattr(effort.jax, "jit", jit)
    monkeypatch.setattr(effort, "SMALL", 12)
    program = effort.fitting(lambda flow, params, batch: batch)
    for size in (3, 4):
        program("flow", {"a": jnp.ones(2), "b": jnp.ones(1)}, (jnp.ones(size),))
    assert made == [effort.BRIEFEST, effort.WELL]
