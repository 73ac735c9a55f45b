"""The same work on many items, in as many threads as there are cores for this process."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items that a thread takes at a time: handing over costs as much as a tenth of a small image.
PER_TASK = 8


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`work` of every item, in their order.

    It pays where `work` lets go of Python's lock, as decoders of images do. The threads are gone
    when it returns or raises; what it raises is what the first item that fails raises, and items
    that no thread has begun with by then are left out.
    """
    tasks = [items[start : start + PER_TASK] for start in range(0, len(items), PER_TASK)]
    threads = min(cores(), len(tasks))
    if threads < 2:
        return [work(item) for item in items]

    def work_on(task: Sequence[Item]) -> list[Result]:
        return [work(item) for item in task]

    pool = ThreadPoolExecutor(threads)
    try:
        return [result for results in pool.map(work_on, tasks) for result in results]
    finally:
        pool.shutdown(cancel_futures=True)  # waits for the tasks under way, after Ctrl-C too
