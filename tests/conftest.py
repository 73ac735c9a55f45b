"""Every test runs with several CPU devices, strict dtypes, checked shapes, warnings as errors."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

from jaxtyping import install_import_hook

# Before the first import of the package: from here on its shape annotations are checked.
install_import_hook("flowjax_glow", "beartype.beartype")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "allow")


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest):
    """Runs a test in both precisions; float64 is switched off again afterwards."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param
