"""How hard XLA's compiler works on a program: options of `jax.jit` that matter on CPUs.

At level 3, which it takes by default, LLVM spends seconds on every place that draws random numbers
and a third more on all the rest. What comes out of level 2 gives the same bits and is as fast
(docs/performance.md).
"""

import functools
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax

#: Options for programs that run once or a few times.
BRIEFLY: dict[str, Any] = {"xla_backend_optimization_level": 0}

#: XLA's older way to compile fusions takes half the time, for other bits than those of earlier
#: versions. It was dropped within jaxlib 0.11.
_OLDER_FUSIONS: dict[str, Any] = (
    {"xla_cpu_use_fusion_emitters": False}
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11)
    else {}
)

#: `BRIEFLY`, where bits need not be those of earlier versions.
BRIEFEST: dict[str, Any] = BRIEFLY | _OLDER_FUSIONS


def _chosen() -> bool:
    """Whether whoever started this process has chosen a level for all programs."""
    flags = os.environ.get("XLA_FLAGS", "")
    return (
        "xla_backend_optimization_level" in flags
        or jax.config.values["jax_disable_most_optimizations"]
    )


#: Options for all others; None where the process was told another level.
WELL: dict[str, Any] | None = None if _chosen() else {"xla_backend_optimization_level": 2}

#: Options for programs that run some dozens of times, where bits need not be those of earlier
#: versions: they take two thirds of the time to compile, and about as long to run.
BRISKLY: dict[str, Any] | None = (
    None if _chosen() else {"xla_backend_optimization_level": 1} | _OLDER_FUSIONS
)

#: The product of parameters and numbers of a batch below which compiling takes longer than running.
#: It is 3e8 for 64 images of 8x8 at depth 4 and width 32, and 7e10 for the preset `laptop`.
SMALL = 5e9


def fitting(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` of ``function(flow, params, batch, ...)`` that is called a few times.

    It is compiled briefly for a small flow, and briskly for a large one.
    """
    small, large = (
        jax.jit(function, static_argnums=0, compiler_options=effort)
        for effort in (BRIEFEST, BRISKLY)
    )

    @functools.wraps(function)
    def compiled(flow: Any, params: Any, batch: Any, *others: Any) -> Any:
        parameters, numbers = (
            sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (params, batch)
        )
        return (small if parameters * numbers < SMALL else large)(flow, params, batch, *others)

    return compiled
