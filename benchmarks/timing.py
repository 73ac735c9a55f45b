"""Timing calls within a worker, with what tells whether the machine was its own meanwhile."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from benchmarks.machine import busy_seconds

_Result = TypeVar("_Result")


def timed(call: Callable[[], _Result], seconds: float) -> tuple[dict[str, Any], _Result]:
    """Calls until `seconds` are over, at least once; the figures, and the last call's result.

    The figures are `seconds` of each call, `own` processor seconds of this process over all of
    them, and those of `others`, or None where that cannot be known.
    """
    each: list[float] = []
    busy, own = busy_seconds(), time.process_time()
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        result = call()
        each.append(time.perf_counter() - start)
        if time.perf_counter() >= end:
            break
    own, busy_now = time.process_time() - own, busy_seconds()
    others = None if busy is None or busy_now is None else max(0.0, busy_now - busy - own)
    return {"seconds": each, "own": own, "others": others}, result
