"""Freed memory is kept: a compiled function's temporary buffer is mapped once, not per call."""

import subprocess
import sys

import pytest

from flowjax_glow.training import keep_freed_memory

#: Prints the page faults of a call that needs a temporary buffer of 128 MiB: 32,768 if it is new.
#: The median of nine: now and then a small block lies where the buffer was, and one call moves on.
PROGRAM = """
import resource, statistics
from flowjax_glow.training import keep_freed_memory
{before}
import jax, jax.numpy as jnp
stack = jax.jit(lambda x: jax.lax.scan(lambda c, _: (c + 1, jnp.full(4 << 20, c)), x, length=8))
total = jax.jit(lambda x: stack(x)[1][:, ::7].sum())
total(1.0)
faults = []
for _ in range(9):
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    total(1.0).block_until_ready()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
print(statistics.median(faults))
"""


def faults(before: str) -> int:
    command = [sys.executable, "-c", PROGRAM.format(before=before)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_a_step_s_buffer_comes_back_without_page_faults():
    assert faults("assert keep_freed_memory()") < 1000 < faults("")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
