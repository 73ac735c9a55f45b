"""Signals that ask a training to end: it finishes its step, saves, and goes on another time."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

import jax

#: What schedulers send before they kill, and Ctrl-C.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_SAID = b": ends after this step and saves; once more ends at once\n"


class Preempted(BaseException):
    """Training was told to end; the same again goes on. No `Exception`, so that nothing stops it.

    Attributes:
        step: the last one that this attempt has saved for that; 0 if it had not begun.
    """

    def __init__(self, step: int = 0) -> None:
        self.step = step
        super().__init__(
            f"told to end{f', saved at step {step}' if step else ''}; the same command goes on"
        )


class Preemption(AbstractContextManager["Preemption"]):
    """Watches for SIGTERM and SIGINT in a ``with`` statement, which the main thread must enter.

    The first one raises `Preempted`, but not while `deferred` lasts: then it is only noted, for
    `due` to tell. The second one ends the process at once, as if nobody had watched.

    With several processes of `jax.distributed`, JAX watches for SIGTERM to any of them, and `due`
    tells all of them to end after the same step.
    """

    def __init__(self) -> None:
        self._requested = self._deferred = self._shared = False
        self._step = 0  # the last one that was asked about
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Preemption":
        # asked without opening a device, which would keep it from child processes
        self._shared = jax.distributed.is_initialized()
        if not self._shared:  # one of several cannot leave alone
            self._before = {each: signal.signal(each, self._heed) for each in _SIGNALS}
        return self

    def __exit__(self, *raised: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def due(self, step: int) -> bool:
        """Whether to end after `step`; to be asked once after every step, by every process."""
        self._step = step
        if not self._shared:
            return self._requested
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        return reached_preemption_sync_point(step)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds `Preempted` back: what is inside asks `due`. It is raised afterwards if need be."""
        with self._set(deferred=True):
            yield
        self._check()

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Lets what is inside be interrupted, within `deferred`."""
        with self._set(deferred=False):
            self._check()
            yield

    @contextmanager
    def _set(self, *, deferred: bool) -> Iterator[None]:
        before, self._deferred = self._deferred, deferred
        try:
            yield
        finally:
            self._deferred = before

    def _check(self) -> None:
        if self._requested:
            raise Preempted(self._step)

    def _heed(self, signum: int, frame: FrameType | None) -> None:
        del frame
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._requested = True
        os.write(2, signal.Signals(signum).name.encode() + _SAID)  # print may be under way itself
        if not self._deferred:
            raise Preempted
