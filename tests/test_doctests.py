"""The examples in docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import jax
import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    with jax.numpy_dtype_promotion("standard"):  # as readers run it
        failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
