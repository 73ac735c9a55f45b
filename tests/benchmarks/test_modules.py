"""Every module of benchmarks can be imported, so that a renamed piece is missed here first."""

import importlib
import pkgutil

import pytest

import benchmarks

#: What is installed by hand, for what some modules compare with.
PEERS = {"torch", "normflows", "nflows", "FrEIA", "flowjax", "equinox"}


@pytest.mark.parametrize(
    "name", [found.name for found in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]
)
def test_a_module_of_benchmarks_can_be_imported(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in PEERS:
            raise
        pytest.skip(f"{missing} is not installed")
