"""The speed of a float32 matrix product, in either framework: what the machine can do at most."""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

_SIZES = (1024, 1536, 2048)


def _jax(size: int, dtype: str = "float32") -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    # not ones: some devices multiply these faster, since fewer of their bits change
    matrix = jax.random.normal(jax.random.key(0), (size, size), dtype)
    multiply = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(multiply(matrix, matrix))


def _torch(size: int) -> Callable[[], Any]:
    torch = importlib.import_module("torch")  # which most environments lack

    matrix = torch.ones(size, size)
    return lambda: matrix @ matrix


_PRODUCTS: Mapping[str, Callable[[int], Callable[[], Any]]] = {"jax": _jax, "torch": _torch}


def matmul_peak(framework: str, seconds: float) -> float:
    """FLOP/s of the fastest product within `seconds`, over matrices of a few sizes."""
    return max(_best(_PRODUCTS[framework](size), size, seconds / len(_SIZES)) for size in _SIZES)


def device_peak(dtype: str, size: int, seconds: float) -> float:
    """FLOP/s of a product in JAX's default precision, which in float32 is TF32 on a recent GPU."""
    return _best(_jax(size, dtype), size, seconds)


def _best(multiply: Callable[[], Any], size: int, seconds: float) -> float:
    multiply()  # compiles
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
