"""Freed memory is kept: a large block that is allocated again and again is mapped once."""

import subprocess
import sys

import pytest

from flowjax_glow.training import keep_freed_memory

#: Touches 64 MiB, frees them, and prints the page faults of doing so again.
PROGRAM = """
import resource
from flowjax_glow.training import keep_freed_memory
{call}
bytearray(64 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(64 << 20)[:: 4096]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> int:
    command = [sys.executable, "-c", PROGRAM.format(call=call)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_a_block_comes_back_without_page_faults():
    assert faults("assert keep_freed_memory()") < 100 < faults("")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
