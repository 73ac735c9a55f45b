"""What an accelerator does in a call: how many kernels it starts, of what kind, for how long."""

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

#: What is found in the names of kernels, by kind; of several the first counts.
KINDS = {
    "convolutions": re.compile(r"fprop|dgrad|wgrad|conv(?!ert)|cudnn|nhwc|nchw", re.IGNORECASE),
    "products": re.compile(r"gemm|cublas|cutlass|splitK|dot", re.IGNORECASE),
    "copies": re.compile(r"memcpy|memset|copy|dynamic_slice|dynamic_update_slice", re.IGNORECASE),
    "reductions": re.compile(r"reduce", re.IGNORECASE),
    "elementwise": re.compile(""),
}


def kind(name: str) -> str:
    """The kind of a kernel, by its name."""
    return next(kind for kind, pattern in KINDS.items() if pattern.search(name))


def device_kernels(call: Callable[[], Any], times: int = 3) -> dict[str, Any]:
    """Per call: seconds by the clock and in which a kernel ran, their number and time by kind."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            begun = time.perf_counter()
            for _ in range(times):
                call()
            wall = time.perf_counter() - begun
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    kinds = {kind: {"count": 0.0, "seconds": 0.0} for kind in KINDS}
    spans = []
    for plane in data.planes:
        for line in plane.lines if "/device:" in plane.name else ():
            for event in line.events if "Stream" in line.name else ():
                own = kinds[kind(event.name)]
                own["count"] += 1 / times
                own["seconds"] += event.duration_ns / 1e9 / times
                spans.append((event.start_ns, event.start_ns + event.duration_ns))
    return {"wall": wall / times, "busy": covered(spans) / 1e9 / times, "kinds": kinds}


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
