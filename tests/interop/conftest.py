"""Other libraries promote dtypes as JAX does by default, and some use what is deprecated."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """Float64, in which 1e-6 is far above rounding, and the usual promotion of dtypes."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/interop" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore"))
